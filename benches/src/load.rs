//! Load over loopback: connections that are kept, and two ways to ask. Closed: each connection asks
//! again as soon as it is answered, which finds the rate. Open: questions come at a given rate
//! whether or not earlier ones are answered, and each time counts from when it was due, which finds
//! the waiting that a closed loop hides.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
        let text = std::str::from_utf8(self.buffer.get(..head).unwrap_or_default())?.to_lowercase();
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .context("no content-length")?
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

/// Answers per second when `connections` ask `request` for `length`, each again as soon as it is
/// answered.
pub(crate) async fn closed(
    address: &str,
    connections: usize,
    length: Duration,
    request: impl Fn(usize, usize) -> Vec<u8> + Clone + Send + 'static,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..connections {
        let (address, request) = (address.to_owned(), request.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut count: u32 = 0;
            while begun.elapsed() < length {
                let asked = usize::try_from(count)?;
                expect_ok(&connection.ask(&request(number, asked)).await?)?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut total: u32 = 0;
    while let Some(done) = tasks.join_next().await {
        total += done??;
    }
    Ok(f64::from(total) / begun.elapsed().as_secs_f64())
}

/// The median and the 99th percentile of the times from when a question was due until its answer,
/// at `rate` questions per second.
pub(crate) async fn open(
    address: &str,
    connections: usize,
    rate: f64,
    length: Duration,
    request: impl Fn(usize, usize) -> Vec<u8> + Clone + Send + 'static,
) -> anyhow::Result<(Duration, Duration)> {
    let step = Duration::from_secs_f64(f64::from(u32::try_from(connections)?) / rate);
    let begun = tokio::time::Instant::now() + Duration::from_millis(50);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..connections {
        let (address, request) = (address.to_owned(), request.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let offset = step.mul_f64(
                f64::from(u32::try_from(number)?) / f64::from(u32::try_from(connections)?),
            );
            let mut times = Vec::new();
            let mut due = begun + offset;
            while due < begun + length {
                tokio::time::sleep_until(due).await;
                expect_ok(&connection.ask(&request(number, times.len())).await?)?;
                times.push(due.elapsed());
                due += step;
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
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
