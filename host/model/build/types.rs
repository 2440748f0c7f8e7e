//! The types whose definitions are made, with all that they refer to.

use std::collections::BTreeMap;

use k8s_openapi::schemars::SchemaGenerator;
use k8s_openapi::schemars::generate::SchemaSettings;
use serde_json::Value;

macro_rules! add {
    ($generator:ident, $($module:ident)::+: $($name:ident)+) => {
        {
            use k8s_openapi::$($module)::+ as module;
            $( $generator.subschema_for::<module::$name>(); )+
        }
    };
}

pub fn definitions() -> BTreeMap<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/definitions".into());
    let mut generator: SchemaGenerator = settings.into();
    add!(generator, api::core::v1:
        Pod Namespace Node ConfigMap Secret ServiceAccount Event PersistentVolume PersistentVolumeClaim Service Endpoints
        PodTemplate ReplicationController LimitRange ResourceQuota Binding);
    add!(generator, api::apps::v1: Deployment ReplicaSet StatefulSet DaemonSet ControllerRevision);
    add!(generator, api::batch::v1: Job CronJob);
    add!(generator, api::autoscaling::v1: Scale);
    add!(generator, api::autoscaling::v2: HorizontalPodAutoscaler);
    add!(generator, api::certificates::v1: CertificateSigningRequest);
    add!(generator, api::coordination::v1: Lease);
    add!(generator, api::discovery::v1: EndpointSlice);
    add!(generator, api::events::v1: Event);
    add!(generator, api::networking::v1: Ingress IngressClass IPAddress NetworkPolicy);
    add!(generator, api::policy::v1: PodDisruptionBudget Eviction);
    add!(generator, api::rbac::v1: Role RoleBinding ClusterRole ClusterRoleBinding);
    add!(generator, api::scheduling::v1: PriorityClass);
    add!(generator, api::storage::v1: StorageClass CSIDriver CSINode VolumeAttachment CSIStorageCapacity);
    add!(generator, api::node::v1: RuntimeClass);
    add!(generator, apiextensions_apiserver::pkg::apis::apiextensions::v1: CustomResourceDefinition);
    add!(generator, apimachinery::pkg::apis::meta::v1:
        LabelSelector ObjectMeta ListMeta Status DeleteOptions Condition APIResourceList APIGroupList);
    generator.take_definitions(false).into_iter().collect()
}
