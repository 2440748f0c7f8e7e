//! The contract in Rust, made from `wit/`. Authors never name this module: the crate's other modules show a chosen part
//! of it. What all families import is made once, in `platform`; a world's module adds what it exports. The interface
//! `types` is written by hand in `crate::types`, so that its errors read well.

#![allow(unsafe_code, missing_docs, clippy::all)]

/// Imports that every world may use.
pub mod platform {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "
            package gantry:sdk@0.1.0;
            world imports {
                import gantry:plugin/log@0.1.0;
                import gantry:plugin/config@0.1.0;
                import gantry:plugin/objects@0.1.0;
            }
        ",
        with: { "gantry:plugin/types@0.1.0": crate::types },
        generate_all,
        additional_derives: [PartialEq, Eq, Hash],
    });
}

/// The world `controller-plugin`.
pub mod controller {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "controller-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
            "gantry:plugin/objects@0.1.0": crate::contract::platform::gantry::plugin::objects,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::controller",
    });
}

/// The world `admission-plugin`.
pub mod admission {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "admission-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
            "gantry:plugin/objects@0.1.0": crate::contract::platform::gantry::plugin::objects,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::admission",
    });
}

/// The world `api-plugin`. What exports it exports `wasi:http/incoming-handler` too.
pub mod api {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "api-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
            "gantry:plugin/objects@0.1.0": crate::contract::platform::gantry::plugin::objects,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        export_macro_name: "export_configure",
        default_bindings_module: "gantry_sdk::contract::api",
    });

    #[cfg(target_arch = "wasm32")]
    pub use crate::__export_dialect as export;
    #[cfg(target_arch = "wasm32")]
    pub use wasip2;

    #[cfg(target_arch = "wasm32")]
    #[macro_export]
    #[doc(hidden)]
    macro_rules! __export_dialect {
        ($exported:ident with_types_in $($path:tt)+) => {
            impl $crate::contract::api::wasip2::exports::http::incoming_handler::Guest for $exported {
                fn handle(
                    request: $crate::contract::api::wasip2::http::types::IncomingRequest,
                    answer: $crate::contract::api::wasip2::http::types::ResponseOutparam,
                ) {
                    $crate::dialect::serve::<$exported>(request, answer);
                }
            }

            $crate::contract::api::export_configure!($exported with_types_in $($path)+);
            $crate::contract::api::wasip2::http::proxy::export!($exported with_types_in $crate::contract::api::wasip2);
        };
    }
}

/// The world `scheduler-plugin`.
pub mod scheduler {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "scheduler-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::scheduler",
    });
}

/// The world `network-plugin`.
pub mod network {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "network-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
        },
        generate_all,
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::network",
    });
}

/// The world `load-balancer-plugin`.
pub mod load_balancer {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "load-balancer-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/routing@0.1.0": crate::contract::network::gantry::plugin::routing,
            "gantry:plugin/plan@0.1.0": crate::contract::network::gantry::plugin::plan,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::load_balancer",
    });
}

/// The world `network-policy-plugin`.
pub mod network_policy {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "network-policy-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/routing@0.1.0": crate::contract::network::gantry::plugin::routing,
            "gantry:plugin/plan@0.1.0": crate::contract::network::gantry::plugin::plan,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::network_policy",
    });
}

/// The world `discovery-plugin`.
pub mod discovery {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "discovery-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::discovery",
    });
}

/// The world `sink-plugin`.
pub mod sink {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "sink-plugin",
        with: {
            "gantry:plugin/types@0.1.0": crate::types,
            "gantry:plugin/log@0.1.0": crate::contract::platform::gantry::plugin::log,
            "gantry:plugin/config@0.1.0": crate::contract::platform::gantry::plugin::config,
        },
        additional_derives: [PartialEq, Eq, Hash],
        pub_export_macro: true,
        default_bindings_module: "gantry_sdk::contract::sink",
    });
}
