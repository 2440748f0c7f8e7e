//! Answers of the version 2012-06-01, as far as they are read.

use crate::aws::answer;

answer!(
    /// A load balancer.
    Description {
        load_balancer_name: String = "LoadBalancerName",
        dns_name: String = "DNSName",
        subnets: Vec<String> = "Subnets",
        security_groups: Vec<String> = "SecurityGroups",
        listener_descriptions: Vec<ListenerDescription> = "ListenerDescriptions",
        instances: Vec<Instance> = "Instances",
        health_check: Check = "HealthCheck",
    }
);
answer!(
    /// A listener and its policies.
    ListenerDescription { listener: Listener = "Listener", }
);
answer!(
    /// A listener.
    Listener {
        protocol: String = "Protocol",
        load_balancer_port: u16 = "LoadBalancerPort",
        instance_port: u16 = "InstancePort",
        certificate: Option<String> = "SSLCertificateId",
    }
);
answer!(
    /// Who serves.
    Instance { instance_id: String = "InstanceId", }
);
answer!(
    /// How instances are asked whether they are well.
    Check {
        target: String = "Target",
        interval: u32 = "Interval",
        timeout: u32 = "Timeout",
        healthy_threshold: u32 = "HealthyThreshold",
        unhealthy_threshold: u32 = "UnhealthyThreshold",
    }
);
answer!(
    /// `InService`, `OutOfService` or `Unknown`
    State { instance_id: String = "InstanceId", state: String = "State", }
);
answer!(
    /// What was made.
    Created { dns_name: String = "DNSName", }
);
