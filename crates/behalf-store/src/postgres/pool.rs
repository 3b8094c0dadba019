//! The pool of connections, and what a server must be to be used.

use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime,
};
use tokio_postgres::Client;

use super::address::Address;
use super::error;
use super::tls::Tls;
use crate::error::StoreError;

/// How long a request may wait for a connection.
const WAIT: Duration = Duration::from_secs(5);
/// The oldest PostgreSQL that is tested, as `server_version_num`.
const OLDEST: i32 = 150_000;

/// What is acknowledged must be durable, whatever the server's default is; a stricter setting, as
/// for synchronous standbys, is the operator's and stays.
const DURABLE: &str = "SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') = 'off'";

/// A pool of at most `size` connections; none is made yet.
pub(super) fn build(address: &Address, size: usize) -> Result<Pool, StoreError> {
    let tls = Tls::new(address.root_certificates.as_deref())?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(address.config.clone(), tls, recycling);
    let durable = Hook::async_fn(|client, _metrics| {
        Box::pin(async move { client.batch_execute(DURABLE).await.map_err(HookError::Backend) })
    });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        .create_timeout(Some(WAIT))
        .post_create(durable)
        .build()
        .map_err(|error| StoreError::Internal { reason: error.to_string() })
}

/// Refuses a server that is too old or keeps text in another encoding.
pub(super) async fn check_server(client: &Object) -> Result<(), StoreError> {
    let version: i32 = setting(client, "server_version_num").await?.parse().unwrap_or_default();
    if version < OLDEST {
        let (major, oldest) = (version / 10_000, OLDEST / 10_000);
        let reason = format!("PostgreSQL {major} is too old; Behalf needs {oldest} or newer");
        return Err(StoreError::Internal { reason });
    }
    let encoding = setting(client, "server_encoding").await?;
    if encoding != "UTF8" {
        let reason = format!("the database's encoding is {encoding}; create it with UTF8");
        return Err(StoreError::Internal { reason });
    }
    Ok(())
}

async fn setting(client: &Client, name: &str) -> Result<String, StoreError> {
    const SETTING: &str = "SELECT current_setting($1)";
    let row = client.query_one(SETTING, &[&name]).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| error::of(&error).into_store())
}
