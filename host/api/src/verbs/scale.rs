//! The scale subresource.

use std::sync::Arc;

use gantry_model::{Kind, Record, Status};
use gantry_objects::scale_of;
use http::StatusCode;

use super::{Call, no_such_path};
use crate::wire::reply::{self, Response};

impl Call<'_> {
    pub(crate) fn get_scale(&self, kind: &Arc<Kind>) -> Result<Response, Status> {
        let record = self.app.objects.get(kind, self.namespace(kind), &self.target.name)?;
        self.show_scale(kind, &record)
    }

    pub(crate) fn show_scale(&self, kind: &Kind, record: &Record) -> Result<Response, Status> {
        let scale = scale_of(kind, &record.value()).ok_or_else(no_such_path)?;
        Ok(reply::value(StatusCode::OK, &scale))
    }
}
