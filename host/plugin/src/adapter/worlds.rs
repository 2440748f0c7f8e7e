//! The worlds of the contract as slots see them.

use wasmtime::Store;
use wasmtime::component::InstancePre;

use crate::bindings::{admission, controller, discovery, load_balancer, network, network_policy, scheduler, sink};
use crate::host::Host;

macro_rules! world {
    ($(#[$doc:meta])* $name:ident, $pre:path, $exports:path) => {
        world!($(#[$doc])* $name, $pre, $exports, writes: true);
    };
    ($(#[$doc:meta])* $name:ident, $pre:path, $exports:path, writes: $writes:literal) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl crate::instance::World for $name {
            type Pre = $pre;
            type Exports = $exports;
            const WRITES: bool = $writes;

            fn pre(pre: InstancePre<Host>) -> wasmtime::Result<Self::Pre> {
                <$pre>::new(pre)
            }

            async fn instantiate(pre: &Self::Pre, store: &mut Store<Host>) -> wasmtime::Result<Self::Exports> {
                pre.instantiate_async(store).await
            }
        }
    };
}

world!(
    /// `controller-plugin`
    Controller, controller::ControllerPluginPre<Host>, controller::ControllerPlugin
);
world!(
    /// `admission-plugin`
    Admission, admission::AdmissionPluginPre<Host>, admission::AdmissionPlugin, writes: false
);
world!(
    /// `scheduler-plugin`
    Scheduler, scheduler::SchedulerPluginPre<Host>, scheduler::SchedulerPlugin
);
world!(
    /// `network-plugin`
    Network, network::NetworkPluginPre<Host>, network::NetworkPlugin
);
world!(
    /// `load-balancer-plugin`
    LoadBalancer, load_balancer::LoadBalancerPluginPre<Host>, load_balancer::LoadBalancerPlugin
);
world!(
    /// `network-policy-plugin`
    NetworkPolicy, network_policy::NetworkPolicyPluginPre<Host>, network_policy::NetworkPolicyPlugin
);
world!(
    /// `discovery-plugin`
    Discovery, discovery::DiscoveryPluginPre<Host>, discovery::DiscoveryPlugin
);
world!(
    /// `sink-plugin`
    Sink, sink::SinkPluginPre<Host>, sink::SinkPlugin
);
