//! gRPC's reflection protocol: tools ask here which services there are and what their messages look
//! like. Nothing of it is secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::extract::Request;
use axum::response::Response;
use behalf_http::{Routes, Rule};
use futures_util::StreamExt as _;
use http::Method;
use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

use super::frame::{Incoming, framed, stream_until_error};
use crate::fga::wire::{DESCRIPTORS, reflection_v1 as pb};
use pb::server_reflection_request::MessageRequest;
use pb::server_reflection_response::MessageResponse;

/// gRPC's own codes for what an answer says inside its message.
const NOT_FOUND: i32 = 5;
const UNIMPLEMENTED: i32 = 12;

static FILES: LazyLock<Files> = LazyLock::new(Files::new);

pub(super) fn routes(routes: Routes) -> Routes {
    const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const V1_ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    routes.route(Method::POST, V1, Rule::Public, info).route(
        Method::POST,
        V1_ALPHA,
        Rule::Public,
        info,
    )
}

async fn info(request: Request) -> Response {
    let requests = Incoming::new(request).messages::<pb::ServerReflectionRequest>();
    stream_until_error(requests.map(|request| Ok(framed(&answer(request?)))))
}

fn answer(request: pb::ServerReflectionRequest) -> pb::ServerReflectionResponse {
    let response = match &request.message_request {
        Some(MessageRequest::ListServices(_)) => {
            let service =
                FILES.services.iter().map(|name| pb::ServiceResponse { name: name.clone() });
            MessageResponse::ListServicesResponse(pb::ListServiceResponse {
                service: service.collect(),
            })
        }
        Some(MessageRequest::FileByFilename(name)) => FILES.answer(Some(name), name),
        Some(MessageRequest::FileContainingSymbol(symbol)) => {
            FILES.answer(FILES.by_symbol.get(symbol), symbol)
        }
        // There are no extensions in proto3 but of options.
        Some(MessageRequest::FileContainingExtension(_)) => missing("there are no extensions"),
        Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
            MessageResponse::AllExtensionNumbersResponse(pb::ExtensionNumberResponse {
                base_type_name: name.clone(),
                extension_number: Vec::new(),
            })
        }
        None => MessageResponse::ErrorResponse(pb::ErrorResponse {
            error_code: UNIMPLEMENTED,
            error_message: "nothing was asked".to_owned(),
        }),
    };
    pb::ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(response),
    }
}

fn missing(what: &str) -> MessageResponse {
    MessageResponse::ErrorResponse(pb::ErrorResponse {
        error_code: NOT_FOUND,
        error_message: format!("not found: {what}"),
    })
}

/// The descriptors by file and by what they define.
struct Files {
    by_name: BTreeMap<String, FileDescriptorProto>,
    by_symbol: BTreeMap<String, String>,
    services: Vec<String>,
}

impl Files {
    fn new() -> Self {
        let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default();
        let mut this =
            Self { by_name: BTreeMap::new(), by_symbol: BTreeMap::new(), services: Vec::new() };
        for file in set.file {
            this.add(&file);
            this.by_name.insert(file.name().to_owned(), file);
        }
        this
    }

    fn add(&mut self, file: &FileDescriptorProto) {
        let (name, package) = (file.name(), file.package());
        for message in &file.message_type {
            self.add_message(name, package, message);
        }
        for of in &file.enum_type {
            self.by_symbol.insert(format!("{package}.{}", of.name()), name.to_owned());
        }
        for service in &file.service {
            let full = format!("{package}.{}", service.name());
            for method in &service.method {
                self.by_symbol.insert(format!("{full}.{}", method.name()), name.to_owned());
            }
            self.by_symbol.insert(full.clone(), name.to_owned());
            self.services.push(full);
        }
    }

    fn add_message(&mut self, file: &str, scope: &str, message: &DescriptorProto) {
        let full = format!("{scope}.{}", message.name());
        for nested in &message.nested_type {
            self.add_message(file, &full, nested);
        }
        for of in &message.enum_type {
            self.by_symbol.insert(format!("{full}.{}", of.name()), file.to_owned());
        }
        self.by_symbol.insert(full, file.to_owned());
    }

    /// The file with all that it imports.
    fn answer(&self, name: Option<&String>, asked: &str) -> MessageResponse {
        let Some(name) = name.filter(|name| self.by_name.contains_key(*name)) else {
            return missing(asked);
        };
        let mut wanted = vec![name.as_str()];
        let mut seen = BTreeSet::new();
        let mut files = Vec::new();
        while let Some(name) = wanted.pop() {
            if let Some(file) = self.by_name.get(name)
                && seen.insert(name)
            {
                files.push(file.encode_to_vec());
                wanted.extend(file.dependency.iter().map(String::as_str));
            }
        }
        MessageResponse::FileDescriptorResponse(pb::FileDescriptorResponse {
            file_descriptor_proto: files,
        })
    }
}
