//! OVSDB (RFC 7047): values and their notation, schemas, the JSON-RPC stream, and a client. Knows no table of Nuage.

pub mod client;
pub mod constraint;
pub mod error;
pub mod members;
pub mod operation;
pub mod read;
pub mod rpc;
pub mod schema;
pub mod text;
pub mod value;

pub use error::Error;
pub use uuid::Uuid;
