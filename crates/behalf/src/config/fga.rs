//! The limits of the authorization API, and who decides what each client may ask of it.

use std::time::Duration;

use anyhow::bail;
use behalf_authz::AccessControl;
use behalf_http::FgaLimits;

use crate::cli::FgaLimitArgs;

/// The most that one request may be allowed to hold: one commit, one answer.
const MAX_BATCH: usize = 10_000;
/// The longest deadline, and the longest that a change is kept back: a day.
const MAX_SECS: u64 = 86_400;

/// What is given, else the defaults.
///
/// # Errors
/// When one is out of bounds.
pub(super) fn limits(args: FgaLimitArgs) -> anyhow::Result<FgaLimits> {
    let base = FgaLimits::default();
    let minutes = args.fga_changelog_horizon_offset;
    let limits = FgaLimits {
        list_objects_max_results: args
            .fga_list_objects_max_results
            .unwrap_or(base.list_objects_max_results),
        list_objects_deadline: args
            .fga_list_objects_deadline
            .map_or(base.list_objects_deadline, Duration::from_secs),
        list_users_max_results: args
            .fga_list_users_max_results
            .unwrap_or(base.list_users_max_results),
        list_users_deadline: args
            .fga_list_users_deadline
            .map_or(base.list_users_deadline, Duration::from_secs),
        resolve_node_limit: args.fga_resolve_node_limit.unwrap_or(base.resolve_node_limit),
        changelog_horizon: minutes.map_or(base.changelog_horizon, |minutes| {
            Duration::from_secs(minutes.saturating_mul(60))
        }),
        max_tuples_per_write: args.fga_max_tuples_per_write.unwrap_or(base.max_tuples_per_write),
        max_checks_per_batch: args
            .fga_max_checks_per_batch_check
            .unwrap_or(base.max_checks_per_batch),
    };
    for (name, count) in [
        ("fga-max-tuples-per-write", limits.max_tuples_per_write),
        ("fga-max-checks-per-batch-check", limits.max_checks_per_batch),
    ] {
        if !(1..=MAX_BATCH).contains(&count) {
            bail!("--{name} {count}: use 1 to {MAX_BATCH}");
        }
    }
    for (name, time) in [
        ("fga-list-objects-deadline", limits.list_objects_deadline),
        ("fga-list-users-deadline", limits.list_users_deadline),
        ("fga-changelog-horizon-offset", limits.changelog_horizon),
    ] {
        if time > Duration::from_secs(MAX_SECS) {
            bail!("--{name}: longer than a day");
        }
    }
    Ok(limits)
}

/// The store that says what each client may ask, and its model: both or neither.
///
/// # Errors
/// When one is missing.
pub(super) fn access_control(
    store_id: Option<String>,
    model_id: Option<String>,
) -> anyhow::Result<Option<AccessControl>> {
    match (store_id, model_id) {
        (Some(store_id), Some(model_id)) => Ok(Some(AccessControl { store_id, model_id })),
        (None, None) => Ok(None),
        _ => bail!(
            "access control has a store and one of its models: give both \
             --fga-access-control-store and --fga-access-control-model"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_has_its_default() {
        assert_eq!(limits(FgaLimitArgs::default()).unwrap(), FgaLimits::default());
        let args = FgaLimitArgs {
            fga_list_objects_max_results: Some(7),
            fga_list_objects_deadline: Some(3),
            fga_changelog_horizon_offset: Some(2),
            fga_resolve_node_limit: Some(0),
            ..FgaLimitArgs::default()
        };
        let found = limits(args).unwrap();
        assert_eq!(found.list_objects_max_results, 7);
        assert_eq!(found.list_objects_deadline, Duration::from_secs(3));
        assert_eq!(found.changelog_horizon, Duration::from_secs(120));
        assert_eq!(found.resolve_node_limit, 0);
        assert_eq!(found.max_tuples_per_write, 100);
    }

    #[test]
    fn a_limit_out_of_bounds_is_refused_by_its_name() {
        for (args, name) in [
            (FgaLimitArgs { fga_max_tuples_per_write: Some(0), ..Default::default() }, "tuples"),
            (
                FgaLimitArgs { fga_max_checks_per_batch_check: Some(10_001), ..Default::default() },
                "checks",
            ),
            (FgaLimitArgs { fga_list_users_deadline: Some(86_401), ..Default::default() }, "users"),
        ] {
            let error = limits(args).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
