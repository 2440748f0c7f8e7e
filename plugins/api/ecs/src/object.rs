//! The kinds that this dialect reads and writes. What a spec has in it is as ECS's API has it.

pub use gantry_sdk::api::{Frontend, text};
use gantry_sdk::api::{ObjectMeta, Time};
use gantry_sdk::{Value, json};
use serde::{Deserialize, Serialize};

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name {
            /// Its name, labels and so on.
            pub metadata: ObjectMeta,
            /// What is wanted.
            pub spec: Value,
            /// What is.
            #[serde(skip_serializing_if = "Value::is_null")]
            pub status: Value,
        }

        gantry_sdk::resource!($name, "ecs.gantry.dev", "v1", $kind);
    };
}

kind!(
    /// A cluster.
    Cluster, "Cluster"
);
kind!(
    /// A revision of a task definition.
    Definition, "TaskDefinition"
);
kind!(
    /// A task.
    Task, "Task"
);

kind!(
    /// A service.
    Service, "Service"
);

kind!(
    /// What a caller has said of how ECS is to work.
    AccountSetting, "AccountSetting"
);

kind!(
    /// The nodes of an Auto Scaling group, under a name.
    CapacityProvider, "CapacityProvider"
);

/// The items of a list, none where there is none.
pub fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Texts of a list.
pub fn texts<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    items(value, key).iter().filter_map(Value::as_str)
}

/// A moment as ECS writes it: seconds since 1970.
pub fn seconds(time: Time) -> Value {
    json!(time.as_millis() as f64 / 1000.0)
}

/// Moments of an object, which it has as text, under the same names in an answer.
pub fn moments(from: &Value, names: &[&str], to: &mut Value) {
    let Some(map) = to.as_object_mut() else { return };
    for name in names {
        if let Ok(time) = Time::parse(text(from, name)) {
            map.insert((*name).to_owned(), seconds(time));
        }
    }
}

/// Members that are there, under the same names in an answer.
pub fn copy(from: &Value, names: &[&str], to: &mut Value) {
    let Some(map) = to.as_object_mut() else { return };
    for name in names {
        if let Some(value) = from.get(*name).filter(|value| !value.is_null()) {
            map.insert((*name).to_owned(), value.clone());
        }
    }
}
