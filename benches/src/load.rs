//! Load over loopback from one thread: connections that are kept, and two ways to ask. Closed: each
//! connection asks again as soon as it is answered, which finds the rate. Open: questions come at a
//! given rate whether or not earlier ones are answered, and each time counts from when it was due,
//! which finds the waiting that a closed loop hides.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, yield_now};

/// The largest answer that is read.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// One connection, HTTP/1.1.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    address: String,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address: address.to_owned(), buffer: Vec::new() })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.ask(request.as_bytes()).await
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(self.buffer.get(..head).unwrap_or_default())?;
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _value)| name.eq_ignore_ascii_case("content-length"))
            .context("no content-length")?
            .1
            .trim()
            .parse()?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        let body = self.buffer.get(head..head + length).unwrap_or_default().to_vec();
        Ok(Answer { status, body })
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() > MAX_ANSWER {
            bail!("the answer is too long");
        }
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server hung up");
        }
        Ok(())
    }
}

/// A POST as it goes over the wire.
pub(crate) fn post(address: &str, path: &str, kind: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: {kind}\r\n{headers}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Runs `work` on an event loop of this thread.
pub(crate) fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
}

/// What each of so many connections did, all at once; the first failure of any.
pub(crate) async fn each<T: 'static, W>(
    address: &str,
    connections: u32,
    mut work: impl FnMut(u32, Connection) -> W,
) -> anyhow::Result<Vec<T>>
where
    W: Future<Output = anyhow::Result<T>> + 'static,
{
    let mut tasks = Vec::new();
    for number in 0..connections {
        let connection = Connection::open(address).await?;
        tasks.push(tokio::task::spawn_local(work(number, connection)));
    }
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await??);
    }
    Ok(done)
}

/// Answers per second when `connections` ask for `length`, each again as soon as it is answered.
/// `request` gives the question by the connection's number and by how many it has asked.
pub(crate) async fn closed(
    address: &str,
    connections: u32,
    length: Duration,
    request: impl Fn(u32, u32) -> Vec<u8> + Clone + 'static,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let counts = each(address, connections, |number, mut connection| {
        let request = request.clone();
        async move {
            let mut count = 0;
            while begun.elapsed() < length {
                expect_ok(&connection.ask(&request(number, count)).await?)?;
                count += 1;
            }
            Ok(count)
        }
    })
    .await?;
    Ok(f64::from(counts.iter().sum::<u32>()) / begun.elapsed().as_secs_f64())
}

/// The median and the 99th percentile of the times from when a question was due until its answer,
/// at `rate` questions per second over all connections.
///
/// The thread never sleeps: a timer would add up to a millisecond to every time.
pub(crate) async fn open(
    address: &str,
    connections: u32,
    rate: f64,
    length: Duration,
    request: impl Fn(u32, u32) -> Vec<u8> + Clone + 'static,
) -> anyhow::Result<(Duration, Duration)> {
    let (idle, mut idles) = mpsc::unbounded_channel();
    let mut asks = Vec::new();
    let mut tasks = Vec::new();
    for number in 0..connections {
        let mut connection = Connection::open(address).await?;
        let (ask, mut asked) = mpsc::unbounded_channel::<Instant>();
        asks.push(ask);
        let (idle, request) = (idle.clone(), request.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut times = Vec::new();
            let mut count = 0;
            idle.send(number)?;
            while let Some(due) = asked.recv().await {
                expect_ok(&connection.ask(&request(number, count)).await?)?;
                times.push(due.elapsed());
                count += 1;
                idle.send(number)?;
            }
            anyhow::Ok(times)
        }));
    }
    let begun = Instant::now();
    let step = Duration::from_secs_f64(1.0 / rate);
    let mut due = begun;
    let mut waiting = VecDeque::new();
    while due < begun + length {
        while due <= Instant::now() {
            waiting.push_back(due);
            due += step;
        }
        while !waiting.is_empty()
            && let Ok(number) = idles.try_recv()
        {
            let ask = asks.get(usize::try_from(number)?).context("no such connection")?;
            ask.send(waiting.pop_front().context("nothing waits")?)?;
        }
        yield_now().await;
    }
    drop(asks);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied();
    at(50).zip(at(99)).context("nothing was asked")
}

fn expect_ok(answer: &Answer) -> anyhow::Result<()> {
    if answer.status != 200 {
        bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}
