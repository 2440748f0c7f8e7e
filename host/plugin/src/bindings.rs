//! The contract in Rust, made from `wit/`. Families' traits use these types as they are: there is no second set to
//! convert to. What all families share is made once, in `platform`; a world's module adds what it exports.

/// Imports and shared types.
pub mod platform {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package gantry:host@0.1.0;
            world everything {
                import gantry:plugin/types@0.1.0;
                import gantry:plugin/log@0.1.0;
                import gantry:plugin/config@0.1.0;
                import gantry:plugin/objects@0.1.0;
            }
        ",
        imports: { "gantry:plugin/objects": async, default: trappable },
    });
}

/// What plans say. They are written down too: a node's proxy is another process.
pub mod plans {
    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package gantry:host@0.1.0;
            world plans {
                import gantry:plugin/routing@0.1.0;
                import gantry:plugin/plan@0.1.0;
            }
        ",
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

/// The world `controller-plugin`.
pub mod controller {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "controller-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
            "gantry:plugin/objects": crate::bindings::platform::gantry::plugin::objects,
        },
        exports: { default: async },
    });
}

/// The world `admission-plugin`.
pub mod admission {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "admission-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
            "gantry:plugin/objects": crate::bindings::platform::gantry::plugin::objects,
        },
        exports: { default: async },
    });
}

/// The world `api-plugin`, as far as it is ours; the rest is of `wasi:http`.
pub mod api {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "api-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
            "gantry:plugin/objects": crate::bindings::platform::gantry::plugin::objects,
        },
        exports: { default: async },
    });
}

/// The world `scheduler-plugin`.
pub mod scheduler {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "scheduler-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
        },
        exports: { default: async },
    });
}

/// The world `network-plugin`.
pub mod network {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "network-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
            "gantry:plugin/routing": crate::bindings::plans::gantry::plugin::routing,
            "gantry:plugin/plan": crate::bindings::plans::gantry::plugin::plan,
        },
        exports: { default: async },
    });
}

/// The world `load-balancer-plugin`.
pub mod load_balancer {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "load-balancer-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
            "gantry:plugin/routing": crate::bindings::plans::gantry::plugin::routing,
            "gantry:plugin/plan": crate::bindings::plans::gantry::plugin::plan,
        },
        exports: { default: async },
    });
}

/// The world `network-policy-plugin`.
pub mod network_policy {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "network-policy-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
            "gantry:plugin/routing": crate::bindings::plans::gantry::plugin::routing,
            "gantry:plugin/plan": crate::bindings::plans::gantry::plugin::plan,
        },
        exports: { default: async },
    });
}

/// The world `discovery-plugin`.
pub mod discovery {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "discovery-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
        },
        exports: { default: async },
    });
}

/// The world `sink-plugin`.
pub mod sink {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "sink-plugin",
        with: {
            "gantry:plugin/types": crate::bindings::platform::gantry::plugin::types,
            "gantry:plugin/log": crate::bindings::platform::gantry::plugin::log,
            "gantry:plugin/config": crate::bindings::platform::gantry::plugin::config,
        },
        exports: { default: async },
    });
}
