//! One question, one answer.

use gantry_sdk::http::Request;
use roxmltree::Document;

use super::xml::{Element, Read, find, part};
use super::{Failure, Params};

/// The API's version.
const VERSION: &str = "2015-12-01";
/// The older one, of Classic load balancers.
const CLASSIC: &str = "2012-06-01";
/// Pages of one question. With 400 entries each that is more than an account may have.
const PAGES: usize = 50;

/// The API at an endpoint. The host signs.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: String,
    version: &'static str,
}

impl Client {
    /// At `https://elasticloadbalancing.REGION.amazonaws.com`.
    pub fn new(endpoint: &str) -> Self {
        Self { endpoint: format!("{}/", endpoint.trim_end_matches('/')), version: VERSION }
    }

    /// The same endpoint, for what concerns Classic load balancers.
    pub fn classic(&self) -> Self {
        Self { version: CLASSIC, ..self.clone() }
    }

    /// Asks for something to be done.
    pub fn act(&self, action: &str, params: &Params) -> Result<(), Failure> {
        self.send(action, params).map(drop)
    }

    /// Asks, for what the answer's result says.
    pub fn ask<T: Read>(&self, action: &str, params: &Params) -> Result<T, Failure> {
        self.answer(action, params, T::read)
    }

    /// Asks for something to be made, for what the answer says of it, in a list of this name.
    pub fn make<T: Read>(&self, action: &str, params: &Params, list: &str) -> Result<T, Failure> {
        let (made, _) = self.page(action, params, list)?;
        made.into_iter().next().ok_or_else(|| Failure::nonsense(action, "it says not what was made"))
    }

    /// Asks for a list of this name, all pages of it.
    pub fn list<T: Read>(&self, action: &str, params: &Params, list: &str) -> Result<Vec<T>, Failure> {
        let (mut all, mut marker) = self.page(action, params, list)?;
        for _ in 1..PAGES {
            let Some(next) = marker else { return Ok(all) };
            let (more, then) = self.page(action, &params.clone().set("Marker", next), list)?;
            all.extend(more);
            marker = then;
        }
        match marker {
            None => Ok(all),
            Some(_) => Err(Failure::nonsense(action, format!("more than {PAGES} pages"))),
        }
    }

    /// One page of it, and where the next one begins.
    fn page<T: Read>(&self, action: &str, params: &Params, list: &str) -> Result<(Vec<T>, Option<String>), Failure> {
        self.answer(action, params, |result| {
            let marker: String = part(result, "NextMarker")?;
            Ok((part(result, list)?, Some(marker).filter(|marker| !marker.is_empty())))
        })
    }

    /// The element `ActionResult` of an answer. One without it is no answer: that nothing was said does not mean that there is
    /// nothing.
    fn answer<T>(
        &self,
        action: &str,
        params: &Params,
        read: impl FnOnce(Element<'_>) -> super::xml::Result<T>,
    ) -> Result<T, Failure> {
        let answer = self.send(action, params)?;
        let document = Document::parse(&answer).map_err(|e| Failure::nonsense(action, e))?;
        let found = find(document.root_element(), &format!("{action}Result"));
        let result = found.ok_or_else(|| Failure::nonsense(action, "it has no result"))?;
        read(result).map_err(|what| Failure::nonsense(action, what))
    }

    fn send(&self, action: &str, params: &Params) -> Result<String, Failure> {
        let request = Request::post(&self.endpoint, params.body(action, self.version))
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let answer = request.send().map_err(|error| Failure::unreachable(action, error))?;
        if answer.is_success() { Ok(answer.text()) } else { Err(Failure::said(action, answer.status, &answer.text())) }
    }
}

#[cfg(test)]
mod tests {
    use gantry_sdk::http::Response;
    use gantry_sdk::testing::Host;

    use super::super::LoadBalancer;
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
        let all: Vec<LoadBalancer> = client.list("DescribeLoadBalancers", &Params::default(), "LoadBalancers").unwrap();
        assert_eq!(all.iter().map(|one| one.dns_name.as_str()).collect::<Vec<_>>(), ["one.example", "two.example"]);
        let one = &all[0];
        assert_eq!(
            (one.kind.as_str(), one.state.code.as_str(), one.availability_zones.len()),
            ("network", "active", 2)
        );
        let requests = host.take_requests();
        assert_eq!((requests.len(), requests[0].url.as_str()), (2, "https://elb.example/"));
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let host = Host::new();
        let client = Client::new("https://elb.example");
        let ask = || client.list::<LoadBalancer>("DescribeLoadBalancers", &Params::default(), "LoadBalancers");
        assert_eq!(ask().unwrap_err().code, "Unreachable");
        // That nothing is there would let go of what is.
        for body in ["", "<html/>", "<A><DescribeLoadBalancersResult></A>", "<A><DescribeTagsResult/></A>"] {
            host.answer_http(move |_| Ok(Response::new(200, body)));
            assert_eq!(ask().unwrap_err().code, "Unreadable", "{body}");
        }
        host.answer_http(|_| Ok(Response::new(200, "<A><DescribeLoadBalancersResult/></A>")));
        assert_eq!(ask(), Ok(Vec::new()));
    }

    #[test]
    fn pages_have_an_end() {
        let host = Host::new();
        host.answer_http(|_| Ok(Response::new(200, PAGE.replace("MARKER", "<NextMarker>more</NextMarker>"))));
        let client = Client::new("https://elb.example");
        let all = client.list::<LoadBalancer>("DescribeLoadBalancers", &Params::default(), "LoadBalancers");
        assert_eq!((all.unwrap_err().code.as_str(), host.take_requests().len()), ("Unreadable", PAGES));
    }
}
