//! What is read of answers. Into plain types, by name: a derived deserializer of each would be most of the component.

use roxmltree::Node;

/// A part of an answer.
pub type Element<'a> = Node<'a, 'a>;
/// What can't be read says why.
pub type Result<T> = std::result::Result<T, String>;

/// What an element says. One that is not there says what is so by default.
pub trait Read: Default {
    /// Reads it.
    fn read(element: Element<'_>) -> Result<Self>;
}

/// The element of this name in another one.
pub fn find<'a>(element: Element<'a>, name: &str) -> Option<Element<'a>> {
    element.children().find(|child| child.has_tag_name(name))
}

/// What the element of this name says.
pub fn part<T: Read>(element: Element<'_>, name: &str) -> Result<T> {
    match find(element, name) {
        Some(found) => T::read(found).map_err(|what| format!("{name}: {what}")),
        None => Ok(T::default()),
    }
}

fn text<'a>(element: Element<'a>) -> &'a str {
    element.text().unwrap_or_default()
}

impl Read for String {
    fn read(element: Element<'_>) -> Result<Self> {
        Ok(text(element).to_owned())
    }
}

macro_rules! parsed {
    ($($kind:ty),*) => {
        $(impl Read for $kind {
            fn read(element: Element<'_>) -> Result<Self> {
                text(element).parse().map_err(|e| format!("{:?}: {e}", text(element)))
            }
        })*
    };
}

parsed!(bool, u16, u32);

impl<T: Read> Read for Option<T> {
    fn read(element: Element<'_>) -> Result<Self> {
        T::read(element).map(Some)
    }
}

/// AWS wraps every entry of a list in `<member>`.
impl<T: Read> Read for Vec<T> {
    fn read(element: Element<'_>) -> Result<Self> {
        element.children().filter(|child| child.has_tag_name("member")).map(T::read).collect()
    }
}

/// A structure of an answer: its fields, and what AWS calls them.
macro_rules! answer {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $element:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $crate::aws::Read for $name {
            fn read(element: $crate::aws::Element<'_>) -> std::result::Result<Self, String> {
                Ok(Self { $($field: $crate::aws::part(element, $element)?,)* })
            }
        }
    };
}

pub(crate) use answer;

#[cfg(test)]
mod tests {
    use super::*;

    answer!(
        /// All kinds of fields.
        All { text: String = "Text", number: Option<u16> = "Number", list: Vec<String> = "List", inner: Vec<Inner> = "Inner", }
    );
    answer!(
        /// One of them.
        Inner { is: bool = "Is", }
    );

    fn read(body: &str) -> Result<All> {
        let document = roxmltree::Document::parse(body).unwrap();
        All::read(document.root_element())
    }

    #[test]
    fn elements_are_read_by_name() {
        let all = "<A xmlns=\"urn:x\"> <Text> a &amp; <![CDATA[<b>]]></Text><Other/><Number>7</Number> <List><member>x</member>\
                   <member/></List><Inner>\n<member><Is>true</Is></member>\n<member/></Inner></A>";
        let want = All {
            text: " a & <b>".into(),
            number: Some(7),
            list: vec!["x".into(), String::new()],
            inner: vec![Inner { is: true }, Inner { is: false }],
        };
        assert_eq!(read(all), Ok(want));
        assert_eq!(read("<A><Text/><List/></A>"), Ok(All::default()));
    }

    #[test]
    fn what_is_no_number_is_said() {
        for (body, want) in [
            ("<A><Number>70000</Number></A>", "Number: \"70000\""),
            ("<A><Number/></A>", "Number: \"\""),
            ("<A><Inner><member><Is>yes</Is></member></Inner></A>", "Inner: Is: \"yes\""),
        ] {
            assert!(read(body).unwrap_err().starts_with(want), "{body}");
        }
    }
}
