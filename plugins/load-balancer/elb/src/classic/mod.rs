//! Classic load balancers: what a Service of the type LoadBalancer came to in AWS before there were others, by the API's older
//! version. Connections of TCP, or the end of TLS, led to ports of nodes.
//!
//! Apart from the rest, since nothing of it is the same: no ARNs, no target groups, no states; listeners, targets and the
//! check are the load balancer's own.

mod answers;
mod apply;
mod found;
mod wanted;

pub use apply::{apply, close, remove};
pub use found::{Found, find};
pub use wanted::{Classic, wanted};
