//! A collector of traces, asked over real gRPC. It takes what it is sent, or refuses it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Its thread lives as long as the process.
pub struct Collector {
    address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    refuses: bool,
    calls: usize,
    spans: Vec<(Resource, Span)>,
}

struct Service(Arc<Mutex<Taken>>);

impl Collector {
    pub fn start() -> Result<Collector> {
        let taken = Arc::<Mutex<Taken>>::default();
        let service = TraceServiceServer::new(Service(taken.clone()));
        let (tell, told) = mpsc::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::spawn(move || {
            runtime.block_on(async {
                let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?;
                tell.send(incoming.local_addr()?)?;
                anyhow::Ok(Server::builder().add_service(service).serve_with_incoming(incoming).await?)
            })
        });
        Ok(Collector { address: told.recv().context("the collector listens")?, taken })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether it refuses what comes from now on.
    pub fn refuse(&self, refuses: bool) {
        locked(&self.taken).refuses = refuses;
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        locked(&self.taken).calls
    }

    /// What it has taken so far, each with whose it is.
    pub fn spans(&self) -> Vec<(Resource, Span)> {
        locked(&self.taken).spans.clone()
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut taken = locked(&self.0);
        taken.calls += 1;
        if taken.refuses {
            return Err(Status::unavailable("closed for today"));
        }
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            taken.spans.extend(spans.map(|span| (resource.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The text under `key`, or the digits of a number.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn locked(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}
