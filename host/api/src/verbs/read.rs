//! Getting one object.

use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status};
use http::{HeaderMap, StatusCode};

use super::{Call, render, table};
use crate::wire::negotiate::{self, Form};
use crate::wire::reply::Response;

impl Call<'_> {
    pub(crate) fn get(&self, kind: &Kind, headers: &HeaderMap) -> Result<Response, Status> {
        let form = accepted(headers)?;
        let record = self.app.objects.get(kind, self.namespace(kind), &self.target.name)?;
        self.show(kind, &record, form, StatusCode::OK)
    }

    /// An object in the form asked for.
    pub(crate) fn show(
        &self,
        kind: &Kind,
        record: &std::sync::Arc<Record>,
        form: Form,
        code: StatusCode,
    ) -> Result<Response, Status> {
        let pretty = self.pretty();
        match form {
            Form::Object => Ok(render::one(code, render::served(kind, record), pretty)),
            Form::Metadata => Ok(render::one(code, table::metadata_of(record).to_string().into(), pretty)),
            Form::Table => {
                let include = table::Include::of(self.query)?;
                let pieces =
                    table::pieces(kind, vec![record.clone()], include, &record.revision.to_string(), None, None);
                Ok(render::send(pieces, false, pretty))
            }
        }
    }

    pub(crate) fn pretty(&self) -> bool {
        self.query.flag("pretty").unwrap_or(false)
    }
}

/// The form of answer that a client accepts, or 406.
pub(crate) fn accepted(headers: &HeaderMap) -> Result<Form, Status> {
    negotiate::form(headers)
        .ok_or_else(|| Status::new(Reason::NotAcceptable, "only application/json is served here: accept it"))
}
