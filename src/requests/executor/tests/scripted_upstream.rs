//! An upstream on paused time that answers as its script says.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::upstream::transport::{HttpRequest, HttpResponse, Transport, TransportError};

const MATERIAL: &str = r##"{"errcode":0,"tag":"#short"}"##;

/// Answers from its script, and with material when that is over. Each answer takes a second.
#[derive(Clone)]
pub(super) struct ScriptedUpstream(Arc<UpstreamScript>);

struct UpstreamScript {
    began: Instant,
    codes: Mutex<VecDeque<i64>>,
    /// When each call came.
    calls: Mutex<Vec<Duration>>,
    in_flight: Mutex<(usize, usize)>,
    /// Until a call that is not answered has timed out; nothing where calls are answered.
    hangs: Option<Duration>,
}

impl ScriptedUpstream {
    pub fn new(codes: impl IntoIterator<Item = i64>) -> ScriptedUpstream {
        ScriptedUpstream(Arc::new(UpstreamScript {
            began: Instant::now(),
            codes: Mutex::new(codes.into_iter().collect()),
            calls: Mutex::default(),
            in_flight: Mutex::default(),
            hangs: None,
        }))
    }

    pub fn hanging(time_out: Duration) -> ScriptedUpstream {
        let (began, codes, calls) = (Instant::now(), Mutex::default(), Mutex::default());
        ScriptedUpstream(Arc::new(UpstreamScript {
            began,
            codes,
            calls,
            in_flight: Mutex::default(),
            hangs: Some(time_out),
        }))
    }

    pub fn now_seconds(&self) -> u64 {
        self.0.began.elapsed().as_secs()
    }

    pub fn calls(&self) -> Vec<u64> {
        self.0.calls.lock().unwrap().iter().map(Duration::as_secs).collect()
    }

    pub fn in_flight_max(&self) -> usize {
        self.0.in_flight.lock().unwrap().1
    }
}

#[async_trait]
impl Transport for ScriptedUpstream {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        let answer = |body: String| HttpResponse { status: 200, body: body.into(), date: None, retry_after: None };
        if request.path == "/cgi-bin/stable_token" {
            return Ok(answer(r#"{"access_token":"t","expires_in":7200}"#.into()));
        }
        self.0.calls.lock().unwrap().push(self.0.began.elapsed());
        if let Some(time_out) = self.0.hangs {
            tokio::time::sleep(time_out).await;
            return Err(TransportError::Timeout);
        }
        let code = self.0.codes.lock().unwrap().pop_front();
        {
            let mut in_flight = self.0.in_flight.lock().unwrap();
            in_flight.0 += 1;
            in_flight.1 = in_flight.1.max(in_flight.0);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.0.in_flight.lock().unwrap().0 -= 1;
        Ok(answer(match code {
            None | Some(0) => MATERIAL.to_owned(),
            Some(code) => format!(r#"{{"errcode":{code},"errmsg":"no"}}"#),
        }))
    }

    fn now(&self) -> UnixMillis {
        UnixMillis(START.as_millis().0 + i64::try_from(self.0.began.elapsed().as_millis()).unwrap())
    }
}
