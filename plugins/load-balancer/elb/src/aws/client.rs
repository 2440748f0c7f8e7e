//! One question, one answer.

use gantry_sdk::http::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Failure, Params};

const VERSION: &str = "2015-12-01";
/// Pages of one question. With 400 entries each that is more than an account may have.
const PAGES: usize = 50;
/// Things whose tags are asked for at once; AWS's limit.
const TAGGED: usize = 20;

/// The API at an endpoint. The host signs.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: String,
}

impl Client {
    /// At `https://elasticloadbalancing.REGION.amazonaws.com`.
    pub fn new(endpoint: &str) -> Self {
        Self { endpoint: format!("{}/", endpoint.trim_end_matches('/')) }
    }

    /// Asks, for what the answer's result says.
    pub fn ask<T: DeserializeOwned + Default>(&self, action: &str, params: &Params) -> Result<T, Failure> {
        let request = Request::post(&self.endpoint, params.body(action, VERSION))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let answer = request.send().map_err(|error| Failure::unreachable(action, error))?;
        if !answer.is_success() {
            return Err(Failure::said(action, answer.status, &answer.text()));
        }
        match result(action, &answer.text()) {
            Some(result) => quick_xml::de::from_str(result).map_err(|e| Failure::nonsense(action, e)),
            None => Ok(T::default()),
        }
    }

    /// Asks for something to be done.
    pub fn act(&self, action: &str, params: &Params) -> Result<(), Failure> {
        self.ask::<Nothing>(action, params).map(drop)
    }

    /// Asks for all pages of a list.
    pub fn pages<T: DeserializeOwned + Default, I>(
        &self,
        action: &str,
        params: &Params,
        take: impl Fn(T) -> (Vec<I>, Option<String>),
    ) -> Result<Vec<I>, Failure> {
        let mut all = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..PAGES {
            let page = params.clone().set_some("Marker", marker.as_deref());
            let (items, next) = take(self.ask(action, &page)?);
            all.extend(items);
            marker = next.filter(|next| !next.is_empty());
            if marker.is_none() {
                return Ok(all);
            }
        }
        Err(Failure::nonsense(action, format!("more than {PAGES} pages")))
    }

    /// Tags of things by ARN.
    pub fn tags(&self, arns: &[String]) -> Result<Vec<(String, crate::names::Tags)>, Failure> {
        let mut all = Vec::new();
        for some in arns.chunks(TAGGED) {
            let sets: super::TagSets = self.ask("DescribeTags", &Params::default().list("ResourceArns", some))?;
            all.extend(
                sets.tag_descriptions.member.into_iter().map(|set| {
                    (set.resource_arn, set.tags.member.into_iter().map(|tag| (tag.key, tag.value)).collect())
                }),
            );
        }
        Ok(all)
    }
}

#[derive(Default, Deserialize)]
struct Nothing {}

/// The element `ActionResult` of an answer; none when there is nothing in it.
fn result<'a>(action: &str, body: &'a str) -> Option<&'a str> {
    let start = body.find(&format!("<{action}Result>"))?;
    let close = format!("</{action}Result>");
    let end = body.find(&close)? + close.len();
    body.get(start..end)
}

#[cfg(test)]
mod tests {
    use gantry_sdk::http::Response;
    use gantry_sdk::testing::Host;

    use super::super::Described;
    use super::*;

    const PAGE: &str = "<DescribeLoadBalancersResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
        <DescribeLoadBalancersResult><LoadBalancers><member><LoadBalancerArn>arn:NAME</LoadBalancerArn>\
        <LoadBalancerName>NAME</LoadBalancerName><DNSName>NAME.example</DNSName><Type>network</Type>\
        <State><Code>active</Code></State><AvailabilityZones><member><SubnetId>s1</SubnetId><ZoneName>a</ZoneName></member>\
        <member><SubnetId>s2</SubnetId></member></AvailabilityZones><SecurityGroups/></member></LoadBalancers>MARKER\
        </DescribeLoadBalancersResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeLoadBalancersResponse>";

    #[test]
    fn pages_are_read_to_the_end() {
        let host = Host::new();
        host.answer_http(|request| {
            let second = String::from_utf8_lossy(&request.body).contains("Marker=more");
            let (name, marker) = if second { ("two", "") } else { ("one", "<NextMarker>more</NextMarker>") };
            Ok(Response::new(200, PAGE.replace("NAME", name).replace("MARKER", marker)))
        });
        let client = Client::new("https://elb.example/");
        let take = |page: Described| (page.load_balancers.member, page.next_marker);
        let all = client.pages("DescribeLoadBalancers", &Params::default(), take).unwrap();
        assert_eq!(all.iter().map(|one| one.dns_name.as_str()).collect::<Vec<_>>(), ["one.example", "two.example"]);
        let one = &all[0];
        assert_eq!(
            (one.kind.as_str(), one.state.code.as_str(), one.availability_zones.member.len()),
            ("network", "active", 2)
        );
        let requests = host.take_requests();
        assert_eq!((requests.len(), requests[0].url.as_str()), (2, "https://elb.example/"));
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let host = Host::new();
        let client = Client::new("https://elb.example");
        let ask = || client.ask::<Described>("DescribeLoadBalancers", &Params::default());
        assert_eq!(ask().unwrap_err().code, "Unreachable");
        host.answer_http(|_| {
            Ok(Response::new(200, "<DescribeLoadBalancersResult><LoadBalancers></DescribeLoadBalancersResult>"))
        });
        assert_eq!(ask().unwrap_err().code, "Unreadable");
        host.answer_http(|_| {
            Ok(Response::new(200, "<DeleteListenerResponse><DeleteListenerResult/></DeleteListenerResponse>"))
        });
        client.act("DeleteListener", &Params::default()).unwrap();
    }
}
