//! What the demonstration and the tests run beside the server: scripted stand-ins for the services
//! of others. Each says on every page that it is one.

pub mod model;
pub mod provider;
pub mod sample;
