//! Redeems a backchannel request (OpenID Connect CIBA Core §10, §11): the approval is used and the
//! tokens are issued in one unit of work.

use std::time::Duration;

use behalf_core::{Actor, Timestamp};
use behalf_crypto::opaque;
use behalf_identity::{ApprovedGrant, Client, GrantError, GrantType, TokenAnswer};
use behalf_store::StoreError;
use behalf_store::gate::approvals::{self, ApprovalRow};

use crate::approval::{Approval, Approved, Standing, Status};
use crate::backchannel::REQUEST_PREFIX;
use crate::error::corrupt;
use crate::gate::Gate;

/// How much longer a client has to wait after a poll that was too early, in seconds.
const SLOWER_BY: i64 = 5;
/// How long it may have to wait at most.
const INTERVAL_MAX: i64 = 60;
/// How long a poll may be held.
const HOLD_MAX: Duration = Duration::from_secs(30);

/// Answers a poll. With `hold`, a pending request is answered when it is decided, or after that
/// time.
///
/// # Errors
/// `AuthorizationPending`, `SlowDown`, `ExpiredToken` or `ApprovalDenied` as the request stands;
/// `InvalidGrant` when it is unknown, redeemed, or another client's.
pub async fn redeem(
    gate: &Gate,
    client: &Client,
    auth_req_id: &str,
    hold: Option<Duration>,
) -> Result<TokenAnswer, GrantError> {
    client.require_grant(GrantType::Ciba)?;
    // Heard before it is looked at, so that no decision falls between.
    let mut wakes = gate.subscribe();
    let (row, standing) = find(gate, client, auth_req_id).await?;
    let pending = match standing {
        Standing::Pending(pending) => pending.0,
        over => return finish(gate, client, over).await,
    };
    let Some(hold) = hold.map(|hold| hold.min(HOLD_MAX)) else {
        return Err(too_early_or_pending(gate, &row).await?);
    };
    let decided = async {
        loop {
            match wakes.recv().await {
                Ok(wake) if wake.approval_id.as_deref() != Some(&pending.id) => {}
                // Woken, or too far behind to know: look again.
                _ => return,
            }
        }
    };
    if tokio::time::timeout(hold, decided).await.is_err() {
        return Err(still_pending());
    }
    match find(gate, client, auth_req_id).await?.1 {
        Standing::Pending(_) => Err(still_pending()),
        over => finish(gate, client, over).await,
    }
}

/// The client's own request, and where it stands.
async fn find(
    gate: &Gate,
    client: &Client,
    auth_req_id: &str,
) -> Result<(ApprovalRow, Standing), GrantError> {
    if !opaque::looks_minted(auth_req_id, REQUEST_PREFIX) {
        return Err(unknown());
    }
    let hash = opaque::digest(auth_req_id);
    let row = approvals::find_by_request(gate.storage(), gate.tenant(), &hash).await?;
    let row = row.filter(|row| row.client_id == client.client_id).ok_or_else(unknown)?;
    let standing = Approval::standing(row.clone(), gate.identity().now())?;
    Ok((row, standing))
}

async fn finish(
    gate: &Gate,
    client: &Client,
    standing: Standing,
) -> Result<TokenAnswer, GrantError> {
    match standing {
        Standing::Approved(approved) => issue(gate, client, approved).await,
        Standing::Lapsed(_) => Err(expired()),
        Standing::Pending(_) => Err(still_pending()),
        Standing::Over(approval) => Err(match approval.status {
            Status::Expired => expired(),
            Status::Denied | Status::Cancelled | Status::Superseded => {
                let text = "The end-user denied the authorization request or it has been expired";
                GrantError::ApprovalDenied(text.into())
            }
            Status::Redeemed => unknown(),
            Status::Pending | Status::Approved => corrupt("approvals.status").into(),
        }),
    }
}

/// Takes the approval and issues the tokens, both or neither.
async fn issue(
    gate: &Gate,
    client: &Client,
    approved: Approved,
) -> Result<TokenAnswer, GrantError> {
    let approval = &approved.0;
    if !approval.is_intact() {
        return Err(corrupt("approvals.digest").into());
    }
    let grant = ApprovedGrant {
        client: client.clone(),
        user_id: approval.user.clone(),
        scope: approval.question.scopes.iter().collect(),
        audience: approval.question.audience.clone(),
        authorization_details: approval.question.authorization_details.clone(),
        grant_id: approval.id.clone(),
    };
    let mut unit = gate.unit();
    let actor = Actor::Client {
        client_id: client.client_id.to_string(),
        sub: Some(approval.user.to_string()),
    };
    unit.add(behalf_store::gate::calls::require_active_user(gate.tenant(), &approval.user));
    approved.redeem(&mut unit, gate.tenant(), actor);
    let answer = gate.identity().plan_approved(&mut unit, &grant).await?;
    match gate.storage().commit(unit).await {
        Ok(_) => Ok(answer),
        // Another poll took it first, or its time ran out in between.
        Err(StoreError::Conflict { .. }) => Err(unknown()),
        Err(error) => Err(error.into()),
    }
}

/// The first poll is never too early; a later one is, within the interval, which then grows.
async fn too_early_or_pending(gate: &Gate, row: &ApprovalRow) -> Result<GrantError, StoreError> {
    let now = gate.identity().now();
    let is_early = row.polled_at.is_some_and(|polled| now < next_poll(polled, row.interval_secs));
    let interval = if is_early {
        row.interval_secs.saturating_add(SLOWER_BY).min(INTERVAL_MAX)
    } else {
        row.interval_secs
    };
    let mut unit = gate.unit();
    unit.add(approvals::polled(gate.tenant(), &row.approval_id, interval, now));
    gate.storage().commit(unit).await?;
    Ok(if is_early {
        GrantError::SlowDown { retry_after_secs: u32::try_from(interval).unwrap_or(u32::MAX) }
    } else {
        still_pending()
    })
}

fn next_poll(polled: Timestamp, interval_secs: i64) -> Timestamp {
    polled.plus(Duration::from_secs(u64::try_from(interval_secs).unwrap_or(0)))
}

fn still_pending() -> GrantError {
    GrantError::AuthorizationPending("The end-user authorization is pending".into())
}

fn expired() -> GrantError {
    GrantError::ExpiredToken("The request expired before it was answered.".into())
}

fn unknown() -> GrantError {
    GrantError::InvalidGrant("Unknown, expired or already used auth_req_id.".into())
}
