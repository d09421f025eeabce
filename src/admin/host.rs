//! Who may be asked for by which name. A page of some other site may have its own name point to this host, and would read
//! what is answered as its own: so nothing but an address, or `localhost`, is answered.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

const REFUSAL: &str = "this name is not answered: ask by the address, or by localhost\n";

/// Answers only requests whose `Host` is an address or `localhost`.
pub async fn check(request: Request, next: Next) -> Response {
    match is_known(request.headers()) {
        true => next.run(request).await,
        false => (StatusCode::MISDIRECTED_REQUEST, REFUSAL).into_response(),
    }
}

fn is_known(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    // RFC 9112, 3.2: a request has one Host, and one with none or several is refused.
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    // `Authority` takes what stands before an `@` for a user; a `Host` has none.
    authority.is_some_and(|authority| is_local(authority.host()) && !authority.as_str().contains('@'))
}

fn is_local(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn answered(hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        is_known(&headers)
    }

    #[test]
    fn addresses_and_localhost_are_answered_and_no_other_name() {
        for host in ["127.0.0.1:9464", "10.1.2.3", "[::1]:9464", "[fe80::1]", "localhost:9464", "LOCALHOST"] {
            assert!(answered(&[host]), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example:9464", "127.0.0.1.nip.io", "a@127.0.0.1", "", "[", "1:2:3"]
        {
            assert!(!answered(&[host]), "{host}");
        }
        assert!(!answered(&[]) && !answered(&["localhost", "localhost"]));
    }
}
