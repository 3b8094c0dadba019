//! Load over loopback from one thread: connections that are kept, and two ways to ask. Closed: each
//! connection asks again as soon as it is answered, which finds the rate. Open: questions come at a
//! given rate whether or not earlier ones are answered, and each time counts from when it was due,
//! which finds the waiting that a closed loop hides.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
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
        let length = text.lines().filter_map(|line| line.split_once(':'));
        let length = length
            .filter(|(name, _value)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_name, value)| value.trim().parse::<usize>())
            .next()
            .transpose()?;
        let body = match length {
            Some(length) => self.part(head, length).await?,
            None => self.chunks(head).await?,
        };
        Ok(Answer { status, body })
    }

    /// So many bytes from there on.
    async fn part(&mut self, from: usize, length: usize) -> anyhow::Result<Vec<u8>> {
        while self.buffer.len() < from + length {
            self.more().await?;
        }
        Ok(self.buffer.get(from..from + length).unwrap_or_default().to_vec())
    }

    /// A body in chunks (RFC 9112 §7.1), as some servers send a longer one.
    async fn chunks(&mut self, mut from: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let rest = self.buffer.get(from..).unwrap_or_default();
            let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
                self.more().await?;
                continue;
            };
            let size = std::str::from_utf8(rest.get(..end).unwrap_or_default())?;
            let size =
                usize::from_str_radix(size.trim(), 16).context("neither length nor chunk")?;
            let chunk = self.part(from + end + 2, size + 2).await?;
            if size == 0 {
                return Ok(body);
            }
            body.extend_from_slice(chunk.get(..size).unwrap_or_default());
            from += end + 2 + size + 2;
        }
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

/// Something that asks the question of a number and waits for its answer, over its own connection.
pub(crate) trait Worker: AsyncFnMut(u64) -> anyhow::Result<()> + 'static {}

impl<W: AsyncFnMut(u64) -> anyhow::Result<()> + 'static> Worker for W {}

/// Workers that send what `request` gives by the connection's number and by how many it has asked,
/// and expect 200.
pub(crate) async fn posting(
    address: &str,
    connections: u32,
    request: impl Fn(u32, u32) -> Vec<u8> + Clone + 'static,
) -> anyhow::Result<Vec<impl Worker>> {
    let mut workers = Vec::new();
    for number in 0..connections {
        let mut connection = Connection::open(address).await?;
        let (request, mut asked) = (request.clone(), 0);
        workers.push(async move |_number: u64| {
            let answer = connection.ask(&request(number, asked)).await?;
            asked += 1;
            expect_ok(&answer)
        });
    }
    Ok(workers)
}

/// Answers per second when each worker asks for `length`, again as soon as it is answered.
///
/// The thread never sleeps: the kernel would count waking it as the server's work.
pub(crate) async fn closed(workers: Vec<impl Worker>, length: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let next = Rc::new(Cell::new(0_u64));
    let mut tasks = Vec::new();
    for mut worker in workers {
        let next = Rc::clone(&next);
        tasks.push(tokio::task::spawn_local(async move {
            while begun.elapsed() < length {
                worker(next.replace(next.get() + 1)).await?;
            }
            anyhow::Ok(())
        }));
    }
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        yield_now().await;
    }
    for task in tasks {
        task.await??;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = next.get() as f64;
    Ok(count / begun.elapsed().as_secs_f64())
}

/// Times from when a question was due until its answer.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time within which this part of the questions was answered, of 0 to 1.
    pub(crate) fn within(&self, part: f64) -> anyhow::Result<Duration> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list"
        )]
        let at = (self.0.len() as f64 * part) as usize;
        self.0.get(at).copied().context("nothing was asked")
    }
}

/// The times at `rate` questions per second over all workers.
///
/// The thread never sleeps: a timer would add up to a millisecond to every time.
pub(crate) async fn open(
    workers: Vec<impl Worker>,
    rate: f64,
    length: Duration,
) -> anyhow::Result<Times> {
    let (idle, mut idles) = mpsc::unbounded_channel();
    let mut asks = Vec::new();
    let mut tasks = Vec::new();
    for (at, mut worker) in workers.into_iter().enumerate() {
        let (ask, mut asked) = mpsc::unbounded_channel::<(u64, Instant)>();
        asks.push(ask);
        let idle = idle.clone();
        tasks.push(tokio::task::spawn_local(async move {
            let mut times = Vec::new();
            idle.send(at)?;
            while let Some((number, due)) = asked.recv().await {
                worker(number).await?;
                times.push(due.elapsed());
                idle.send(at)?;
            }
            anyhow::Ok(times)
        }));
    }
    let begun = Instant::now();
    let step = Duration::from_secs_f64(1.0 / rate);
    let mut due = begun;
    let mut number = 0;
    let mut waiting = VecDeque::new();
    while due < begun + length {
        while due <= Instant::now() {
            waiting.push_back((number, due));
            number += 1;
            due += step;
        }
        while !waiting.is_empty()
            && let Ok(at) = idles.try_recv()
        {
            let ask = asks.get(at).context("no such worker")?;
            ask.send(waiting.pop_front().context("nothing waits")?)?;
        }
        if tasks.iter().any(tokio::task::JoinHandle::is_finished) {
            break;
        }
        yield_now().await;
    }
    drop(asks);
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(Times::of(times))
}

fn expect_ok(answer: &Answer) -> anyhow::Result<()> {
    if answer.status != 200 {
        bail!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}
