//! Answers, as far as they are read.

use super::xml::answer;

answer!(
    /// A load balancer.
    LoadBalancer {
        load_balancer_arn: String = "LoadBalancerArn",
        load_balancer_name: String = "LoadBalancerName",
        dns_name: String = "DNSName",
        kind: String = "Type",
        state: State = "State",
        availability_zones: Vec<Zone> = "AvailabilityZones",
        security_groups: Vec<String> = "SecurityGroups",
    }
);
answer!(
    /// `active`, `provisioning`, `active_impaired` or `failed`
    State { code: String = "Code", reason: Option<String> = "Reason", }
);
answer!(
    /// Where one of its addresses is.
    Zone { subnet_id: String = "SubnetId", }
);
answer!(
    /// A target group.
    TargetGroup {
        target_group_arn: String = "TargetGroupArn",
        target_group_name: String = "TargetGroupName",
        protocol: String = "Protocol",
        health_check_protocol: Option<String> = "HealthCheckProtocol",
        health_check_port: Option<String> = "HealthCheckPort",
        health_check_path: Option<String> = "HealthCheckPath",
        health_check_interval_seconds: Option<u32> = "HealthCheckIntervalSeconds",
        health_check_timeout_seconds: Option<u32> = "HealthCheckTimeoutSeconds",
        healthy_threshold_count: Option<u32> = "HealthyThresholdCount",
        unhealthy_threshold_count: Option<u32> = "UnhealthyThresholdCount",
        matcher: Option<Matcher> = "Matcher",
    }
);
answer!(
    /// Good status codes.
    Matcher { http_code: Option<String> = "HttpCode", }
);
answer!(
    /// A target and how it is.
    Description { target: Target = "Target", target_health: Health = "TargetHealth", }
);
answer!(
    /// Who.
    Target { id: String = "Id", port: u16 = "Port", }
);
answer!(
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unused` or `unavailable`
    Health { state: String = "State", }
);
answer!(
    /// A listener.
    Listener {
        listener_arn: String = "ListenerArn",
        port: u16 = "Port",
        protocol: String = "Protocol",
        certificates: Vec<Certificate> = "Certificates",
        default_actions: Vec<Action> = "DefaultActions",
    }
);
answer!(
    /// By its ARN.
    Certificate { certificate_arn: String = "CertificateArn", is_default: bool = "IsDefault", }
);
answer!(
    /// A rule. The one of the priority `default` is the listener's own.
    Rule {
        rule_arn: String = "RuleArn",
        priority: String = "Priority",
        conditions: Vec<Condition> = "Conditions",
        actions: Vec<Action> = "Actions",
    }
);
answer!(
    /// What is done.
    Action {
        kind: String = "Type",
        target_group_arn: Option<String> = "TargetGroupArn",
        forward_config: Option<Forward> = "ForwardConfig",
        fixed_response_config: Option<Fixed> = "FixedResponseConfig",
        redirect_config: Option<Redirect> = "RedirectConfig",
    }
);
answer!(
    /// To several.
    Forward { target_groups: Vec<Weighted> = "TargetGroups", }
);
answer!(
    /// One of them.
    Weighted { target_group_arn: String = "TargetGroupArn", weight: Option<u32> = "Weight", }
);
answer!(
    /// An answer.
    Fixed {
        status_code: String = "StatusCode",
        content_type: Option<String> = "ContentType",
        message_body: Option<String> = "MessageBody",
    }
);
answer!(
    /// Elsewhere.
    Redirect {
        status_code: String = "StatusCode",
        protocol: Option<String> = "Protocol",
        host: Option<String> = "Host",
        port: Option<String> = "Port",
        path: Option<String> = "Path",
        query: Option<String> = "Query",
    }
);
answer!(
    /// What a request must be like.
    Condition {
        field: String = "Field",
        values: Vec<String> = "Values",
        host_header_config: Option<Values> = "HostHeaderConfig",
        path_pattern_config: Option<Values> = "PathPatternConfig",
        http_request_method_config: Option<Values> = "HttpRequestMethodConfig",
        source_ip_config: Option<Values> = "SourceIpConfig",
        http_header_config: Option<Header> = "HttpHeaderConfig",
        query_string_config: Option<Queries> = "QueryStringConfig",
    }
);
answer!(
    /// One of these.
    Values { values: Vec<String> = "Values", }
);
answer!(
    /// A header.
    Header { http_header_name: String = "HttpHeaderName", values: Vec<String> = "Values", }
);
answer!(
    /// Parameters of the query.
    Queries { values: Vec<Pair> = "Values", }
);
answer!(
    /// One of them.
    Pair { key: Option<String> = "Key", value: String = "Value", }
);
answer!(
    /// Tags of one. Of a Classic load balancer, by its name.
    TagSet {
        resource_arn: String = "ResourceArn",
        load_balancer_name: String = "LoadBalancerName",
        tags: Vec<Tag> = "Tags",
    }
);
answer!(
    /// A tag.
    Tag { key: String = "Key", value: String = "Value", }
);
