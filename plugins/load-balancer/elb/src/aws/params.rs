//! What a request says, as the query protocol writes it: lists are numbered from 1.

use std::fmt::Display;

use form_urlencoded::Serializer;

/// Names and values of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// One value.
    #[must_use]
    pub fn set(self, name: impl AsRef<str>, value: impl Display) -> Self {
        self.add(name.as_ref(), &value)
    }

    /// Not generic: it would be there once for each type.
    fn add(mut self, name: &str, value: &dyn Display) -> Self {
        self.0.push((name.to_owned(), value.to_string()));
        self
    }

    /// A value, if there is one.
    #[must_use]
    pub fn set_some(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// A list of values.
    #[must_use]
    pub fn list<T: Display>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        for (at, value) in values.into_iter().enumerate() {
            self = self.set(format!("{name}.member.{}", at + 1), value);
        }
        self
    }

    /// A list of structures.
    #[must_use]
    pub fn each<T>(
        mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut say: impl FnMut(Self, &str, T) -> Self,
    ) -> Self {
        for (at, item) in items.into_iter().enumerate() {
            self = say(self, &format!("{name}.member.{}", at + 1), item);
        }
        self
    }

    /// Tags.
    #[must_use]
    pub fn tags(self, tags: &[(String, String)]) -> Self {
        self.each("Tags", tags, |params, at, (key, value)| {
            params.set(format!("{at}.Key"), key).set(format!("{at}.Value"), value)
        })
    }

    /// The body of a request for an action.
    pub fn body(&self, action: &str, version: &str) -> String {
        Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(&self.0)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbered_and_values_escaped() {
        let tags = vec![("a b".to_owned(), "c/d".to_owned())];
        let params =
            Params::default().set("Name", "x").list("Subnets", ["s1", "s2"]).tags(&tags).set_some("No", None::<u8>);
        assert_eq!(
            params.body("Do", "1"),
            "Action=Do&Version=1&Name=x&Subnets.member.1=s1&Subnets.member.2=s2&Tags.member.1.Key=a+b&Tags.member.1.Value=c%2Fd"
        );
    }
}
