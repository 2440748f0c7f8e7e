//! Who serves a Service: EndpointSlices, and Endpoints for clients that know nothing newer.

mod hints;
mod listed;
mod mirror;
mod pods;
mod slices;
mod zones;

pub use zones::Zones;

use gantry_sdk::Result;
use gantry_sdk::api::Resource;

use crate::object::Service;
use hints::Hinting;

/// Brings a Service's EndpointSlices and Endpoints in line. Gives whether they depend on where nodes are.
pub fn sync(service: &Service, zones: &mut Zones) -> Result<bool> {
    if service.is_name() {
        slices::sync(service, slices::POD_SLICES, Vec::new(), &Hinting::Nowhere)?;
        return mirror::remove(service).map(|()| false);
    }
    if service.spec.selector.is_empty() {
        // Somebody else says who serves it: in EndpointSlices of their own, or in Endpoints.
        let listed = mirror::read(service.namespace(), service.name())?;
        return slices::sync(service, slices::MIRRORED_SLICES, listed, &Hinting::Nowhere).map(|()| false);
    }
    let listed = pods::listed(service, zones)?;
    mirror::write(service, &listed)?;
    let hinting = Hinting::of(service, zones)?;
    slices::sync(service, slices::POD_SLICES, listed, &hinting)?;
    Ok(hinting != Hinting::Nowhere)
}
