//! What each platform role may see and change: one table, deny by default.
//!
//! Roles are read from the store on every request, never from a token's claims.

use behalf_core::RoleId;

/// What a role may or may not reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Overview pages and trace metadata.
    Dashboards,
    /// Prompts and responses in traces.
    Content,
    /// Verification records, receipts and log tiles.
    VerificationRecords,
    /// Exports of the audit log.
    AuditExports,
    /// People and their roles.
    Members,
    /// Clients, APIs, connections and the issuer's settings.
    IssuerSettings,
    /// FGA stores, models and tuples.
    Authorization,
    /// Usage and cost.
    Usage,
}

/// How far a role reaches; each right includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// Nothing.
    None,
    /// See.
    Read,
    /// See and change.
    Write,
    /// See and take out.
    Export,
}

/// The right that `role` has to `resource`.
pub const fn right(role: RoleId, resource: Resource) -> Right {
    use Resource as R;
    use Right::{Export, None, Read, Write};
    match role {
        RoleId::Administrator => match resource {
            R::Dashboards | R::VerificationRecords | R::Usage => Read,
            R::Members | R::IssuerSettings | R::Authorization => Write,
            R::Content | R::AuditExports => None,
        },
        RoleId::Operator => match resource {
            R::Dashboards | R::Content | R::VerificationRecords => Read,
            R::IssuerSettings | R::Authorization | R::Usage => Read,
            R::AuditExports | R::Members => None,
        },
        RoleId::Security => match resource {
            R::Content | R::VerificationRecords | R::AuditExports => Export,
            R::Dashboards | R::Members | R::IssuerSettings | R::Authorization | R::Usage => Read,
        },
        RoleId::Auditor => match resource {
            R::VerificationRecords | R::AuditExports => Export,
            R::Dashboards | R::Members | R::IssuerSettings | R::Authorization | R::Usage => Read,
            R::Content => None,
        },
        RoleId::BillingAdministrator => match resource {
            R::Usage => Export,
            _ => None,
        },
    }
}
