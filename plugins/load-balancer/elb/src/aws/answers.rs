//! Answers, as far as they are read.

use serde::Deserialize;

/// A list: AWS wraps every entry in `<member>`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de>"))]
pub struct Members<T> {
    /// The entries.
    pub member: Vec<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self { member: Vec::new() }
    }
}

macro_rules! answer {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }
    };
}

answer!(
    /// Load balancers, page by page.
    Described { load_balancers: Members<LoadBalancer>, next_marker: Option<String>, }
);
answer!(
    /// One of them.
    LoadBalancer {
        load_balancer_arn: String,
        load_balancer_name: String,
        #[serde(rename = "DNSName")]
        dns_name: String,
        scheme: String,
        #[serde(rename = "Type")]
        kind: String,
        state: State,
        availability_zones: Members<Zone>,
        security_groups: Members<String>,
    }
);
answer!(
    /// `active`, `provisioning`, `active_impaired` or `failed`
    State { code: String, reason: Option<String>, }
);
answer!(
    /// Where one of its addresses is.
    Zone { subnet_id: String, }
);
answer!(
    /// Target groups, page by page.
    Groups { target_groups: Members<TargetGroup>, next_marker: Option<String>, }
);
answer!(
    /// One of them.
    TargetGroup {
        target_group_arn: String,
        target_group_name: String,
        health_check_protocol: Option<String>,
        health_check_port: Option<String>,
        health_check_path: Option<String>,
        health_check_interval_seconds: Option<u32>,
        health_check_timeout_seconds: Option<u32>,
        healthy_threshold_count: Option<u32>,
        unhealthy_threshold_count: Option<u32>,
        matcher: Option<Matcher>,
    }
);
answer!(
    /// Good status codes.
    Matcher { http_code: Option<String>, }
);
answer!(
    /// Targets and how they are.
    TargetHealth { target_health_descriptions: Members<Description>, }
);
answer!(
    /// One of them.
    Description { target: Target, target_health: Health, }
);
answer!(
    /// Who.
    Target { id: String, port: u16, }
);
answer!(
    /// `healthy`, `unhealthy`, `initial`, `draining`, `unused` or `unavailable`
    Health { state: String, }
);
answer!(
    /// Listeners, page by page.
    Listeners { listeners: Members<Listener>, next_marker: Option<String>, }
);
answer!(
    /// One of them.
    Listener {
        listener_arn: String,
        port: u16,
        protocol: String,
        certificates: Members<Certificate>,
        default_actions: Members<Action>,
    }
);
answer!(
    /// By its ARN.
    Certificate { certificate_arn: String, }
);
answer!(
    /// Rules, page by page.
    Rules { rules: Members<Rule>, next_marker: Option<String>, }
);
answer!(
    /// One of them. The one of the priority `default` is the listener's own.
    Rule { rule_arn: String, priority: String, conditions: Members<Condition>, actions: Members<Action>, }
);
answer!(
    /// What is done.
    Action {
        #[serde(rename = "Type")]
        kind: String,
        target_group_arn: Option<String>,
        forward_config: Option<Forward>,
        fixed_response_config: Option<Fixed>,
        redirect_config: Option<Redirect>,
    }
);
answer!(
    /// To several.
    Forward { target_groups: Members<Weighted>, }
);
answer!(
    /// One of them.
    Weighted { target_group_arn: String, weight: Option<u32>, }
);
answer!(
    /// An answer.
    Fixed { status_code: String, content_type: Option<String>, message_body: Option<String>, }
);
answer!(
    /// Elsewhere.
    Redirect {
        status_code: String,
        protocol: Option<String>,
        host: Option<String>,
        port: Option<String>,
        path: Option<String>,
        query: Option<String>,
    }
);
answer!(
    /// What a request must be like.
    Condition {
        field: String,
        values: Members<String>,
        host_header_config: Option<Values>,
        path_pattern_config: Option<Values>,
        http_request_method_config: Option<Values>,
        source_ip_config: Option<Values>,
        http_header_config: Option<Header>,
        query_string_config: Option<Queries>,
    }
);
answer!(
    /// One of these.
    Values { values: Members<String>, }
);
answer!(
    /// A header.
    Header { http_header_name: String, values: Members<String>, }
);
answer!(
    /// Parameters of the query.
    Queries { values: Members<Pair>, }
);
answer!(
    /// One of them.
    Pair { key: Option<String>, value: String, }
);
answer!(
    /// Tags of several things.
    TagSets { tag_descriptions: Members<TagSet>, }
);
answer!(
    /// Tags of one.
    TagSet { resource_arn: String, tags: Members<Tag>, }
);
answer!(
    /// One of them.
    Tag { key: String, value: String, }
);
