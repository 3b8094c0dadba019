//! Behalf and another server with OpenFGA's API, by turns, so that what disturbs the machine disturbs
//! both.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::datasets::{
    OPEN_LOAD, QUESTIONS, SETUP, Wanted, compare, fill, grpc_workers, http_workers,
};
use crate::load;
use crate::report::{Budget, Report};
use crate::scenario::{Question, Scenario};
use crate::server::{Server, cpu_of, keep_apart};
use crate::target::{Store, Target};

/// How often each is asked for its rate.
const ROUNDS: usize = 3;

/// One of the two.
struct Side {
    name: String,
    store: Store,
    processes: Vec<u32>,
    rates: Vec<f64>,
    answers: f64,
    cpu: Duration,
}

#[derive(Clone, Copy)]
enum Way {
    Http,
    Grpc,
}

/// Asks both every dataset that is wanted.
pub(crate) async fn measure(
    report: &mut Report,
    wanted: &Wanted,
    processes: &[u32],
) -> anyhow::Result<()> {
    let other = wanted.target.as_ref().context("nobody stands beside")?;
    let all = || crate::scenario::all(wanted.scenario.as_deref(), wanted.tuples).into_iter();
    ensure!(all().next().is_some(), "no scenario of that name");
    for (ours, theirs) in all().zip(all()) {
        let dir = tempfile::tempdir()?;
        let server = Server::start(dir.path(), SETUP).await?;
        keep_apart(&[&[server.id()], processes].concat())?;
        let target = Target {
            http: server.address.clone(),
            grpc: server.address.clone(),
            token: Some("bench-key".to_owned()),
        };
        let questions: Rc<[Question]> = (0..QUESTIONS).map(&ours.question).collect();
        let ours = Side::new(report, (ours, "Behalf"), &target, &[server.id()]).await?;
        let theirs = Side::new(report, (theirs, "beside"), other, processes).await?;
        compare(report, &ours.name, &ours.store, &questions, true).await?;
        compare(report, &theirs.name, &theirs.store, &questions, false).await?;
        let mut sides = [ours, theirs];
        for way in [Way::Http, Way::Grpc] {
            for round in 0..ROUNDS {
                for side in &mut sides {
                    if let Err(error) = side.ask(way, &questions, wanted.length).await {
                        ensure!(round == 0 && side.name.ends_with("beside"), error);
                        println!("| {}: {error:#} | - | - | - |", side.name);
                    }
                }
            }
            for side in &mut sides {
                side.tell(report, way, &questions, wanted.length).await?;
            }
        }
    }
    Ok(())
}

impl Side {
    async fn new(
        report: &mut Report,
        (scenario, who): (Scenario, &str),
        target: &Target,
        processes: &[u32],
    ) -> anyhow::Result<Self> {
        let Scenario { name, model, tuples, context, .. } = scenario;
        let store = Store::create(target, &format!("bench {name}"), model, context).await?;
        let name = format!("{name}, {who}");
        fill(report, &name, &store, tuples).await?;
        let processes = processes.to_vec();
        Ok(Self { name, store, processes, rates: Vec::new(), answers: 0.0, cpu: Duration::ZERO })
    }

    fn cpu_now(&self) -> anyhow::Result<Duration> {
        self.processes.iter().map(|process| cpu_of(*process)).sum()
    }

    /// Asks for a while, each connection again as soon as it is answered.
    async fn ask(
        &mut self,
        way: Way,
        questions: &[Question],
        length: Duration,
    ) -> anyhow::Result<()> {
        let before = self.cpu_now()?;
        let rate = match way {
            Way::Http => load::closed(http_workers(&self.store, questions).await?, length).await?,
            Way::Grpc => load::closed(grpc_workers(&self.store, questions).await?, length).await?,
        };
        self.cpu += self.cpu_now()?.saturating_sub(before);
        self.answers += rate * length.as_secs_f64();
        self.rates.push(rate);
        Ok(())
    }

    /// The middle rate, the processor time of a request, and the waiting at seven tenths of the
    /// rate; then begins anew.
    async fn tell(
        &mut self,
        report: &mut Report,
        way: Way,
        questions: &[Question],
        length: Duration,
    ) -> anyhow::Result<()> {
        let mut rates = std::mem::take(&mut self.rates);
        rates.sort_by(f64::total_cmp);
        let (answers, cpu) = (std::mem::take(&mut self.answers), std::mem::take(&mut self.cpu));
        let Some(rate) = rates.get(rates.len() / 2).copied() else { return Ok(()) };
        let what = match way {
            Way::Http => format!("{}: over HTTP", self.name),
            Way::Grpc => format!("{}: over gRPC", self.name),
        };
        report.row(&what, rate, "/s", Budget::None);
        if !self.processes.is_empty() {
            let each = cpu.as_secs_f64() / answers * 1e6;
            report.row(&format!("{what}, processor time each"), each, "us", Budget::None);
        }
        let rate = (rate * OPEN_LOAD).max(1.0);
        let times = match way {
            Way::Http => {
                load::open(http_workers(&self.store, questions).await?, rate, length).await?
            }
            Way::Grpc => {
                load::open(grpc_workers(&self.store, questions).await?, rate, length).await?
            }
        };
        for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
            let time = times.within(part)?.as_secs_f64() * 1e3;
            report.row(&format!("{what} at 70 %, {name}"), time, "ms", Budget::None);
        }
        Ok(())
    }
}
