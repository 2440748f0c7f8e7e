//! What every plugin of a family must do, whatever its policy. Each function panics at the first broken rule. They take
//! the family's trait, so the same rules run natively and, with `gantry-contract`, over the component in the real
//! engine. What a suite needs of the world it brings along, except objects that only the author knows.

mod admission;
mod controller;
mod dialect;
mod discovery;
mod load_balancer;
mod network;
mod network_policy;
mod scheduler;
mod sink;

use serde_json::{Map, Value, json};

pub use admission::admission;
pub use controller::controller;
pub use dialect::dialect;
pub use discovery::discovery;
pub use load_balancer::load_balancer;
pub use network::{network, node};
pub use network_policy::network_policy;
pub use scheduler::{history, scheduler};
pub use sink::sink;

use crate::Config;

/// The same configuration with a key that no plugin knows: a misspelt key must not pass.
fn misspelt(config: &Config) -> Config {
    let mut table: Map<String, Value> = config.parse().expect("a configuration is a table");
    table.insert("no-such-key".to_string(), json!(true));
    Config::from(Value::Object(table))
}
