//! Running one child from start to end.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::unix::pipe;
use tokio::time::Instant;

use super::capture::{Capture, Evidence, Line, Stream};
use super::ending::Ending;
use super::group::{Leader, signal_of};
use super::host::find_program;
use super::output::{ChildError, Exit, Output, name_of};
use super::spec::{ChildSpec, Input};
use super::starter::{self, Born};
use super::terminal::{END_OF_INPUT, Terminal, open_terminal};
use crate::cancel::Cancellation;
use crate::environment::TERM;
use crate::mask::Masker;

/// How much is read at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// How long a leader that has ended may take to be reaped; the kernel needs no time for it at all.
const REAPING: Duration = Duration::from_secs(10);

/// Runs a program to its end and returns what came of it; a bad exit code is no error here, see
/// [`Output::ok_or_error`].
///
/// Each masked line goes to `sink` as soon as it is whole. At its deadline, or when `cancellation` is cancelled, the
/// child's whole group gets TERM and, after the grace time, KILL. When the child has ended, what is left of its group
/// is killed. Dropping the future kills the group at once. Needs a tokio runtime with I/O and time.
pub async fn run(
    mut spec: ChildSpec,
    cancellation: &Cancellation,
    masker: &Masker,
    mut sink: impl FnMut(Line),
) -> Result<Output, ChildError> {
    if let Some(cause) = cancellation.cause() {
        return Err(ChildError::NotStarted { label: spec.label, cause });
    }
    let program = name_of(&spec.program);
    let begin = Instant::now();
    let Started { born, mut pipes, feeding } = start(&mut spec, masker).await?;
    let Leader { mut has_ended, status } = born.leader;
    let mut ending = Ending::new(born.group, spec.deadline, spec.grace);
    let mut evidence = Evidence::open(spec.evidence.as_deref(), spec.kept_bytes);
    let mut sink = |line: Line| {
        evidence.write(&line);
        sink(line);
    };
    let mut feeding = Some(feeding);
    let mut chunk = vec![0; CHUNK];
    while !ending.is_over(pipes.iter().any(Pipe::is_open)) {
        tokio::select! {
            cause = cancellation.cancelled(), if ending.is_untouched() => ending.ask(Exit::Cancelled(cause)),
            () = ending.next_step() => ending.step(),
            // An error means that the thread that watches is gone, which is as good as an end.
            _ = &mut has_ended, if !ending.leader_has_ended() => ending.note_end_of_leader(),
            () = feed(&mut feeding) => feeding = None,
            (at, length) = read_any(&mut pipes, &mut chunk) => match (pipes.get_mut(at), chunk.get(..length)) {
                (Some(pipe), Some([]) | None) => pipe.close(&mut sink),
                (Some(pipe), Some(bytes)) => pipe.capture.take(bytes, &mut sink),
                (None, _) => {}
            },
        }
    }
    let (asked, mut notes) = ending.release();
    for pipe in pipes.iter_mut().filter(|pipe| pipe.is_open()) {
        notes.push("a process that left the group still holds the output; its end may be missing".to_owned());
        pipe.close(&mut sink);
    }
    notes.extend(evidence.note);
    let exit = match asked {
        Some(asked) => asked,
        None => match how_it_ended(status).await {
            Ok(status) => {
                signal_of(status).map_or_else(|| Exit::Exited(status.code().unwrap_or(-1)), Exit::Signalled)
            }
            Err(reason) => return Err(ChildError::Lost { label: spec.label, program, reason }),
        },
    };
    let mut output = Output {
        label: spec.label,
        program,
        exit,
        stdout: String::new(),
        stderr: String::new(),
        is_cut: false,
        took: begin.elapsed(),
        notes,
    };
    for pipe in pipes {
        let (text, left_out) = pipe.capture.into_text();
        if left_out > 0 {
            output.is_cut = true;
            output.notes.push(format!("{left_out} bytes of its output were left out"));
        }
        match pipe.stream {
            Stream::Stdout | Stream::Terminal => output.stdout = text,
            Stream::Stderr => output.stderr = text,
        }
    }
    Ok(output)
}

/// [`run`] for code without async. Not to be called from within an async runtime.
pub fn run_blocking(
    spec: ChildSpec,
    cancellation: &Cancellation,
    masker: &Masker,
    sink: impl FnMut(Line),
) -> Result<Output, ChildError> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(spec, cancellation, masker, sink)),
        Err(reason) => Err(ChildError::Start { program: name_of(&spec.program), label: spec.label, reason }),
    }
}

/// Writes the input; boxed, because it is one of several kinds.
type Feeding = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Started {
    born: Born,
    pipes: Vec<Pipe>,
    feeding: Feeding,
}

/// One stream that is being read; without a reader, at its end.
struct Pipe {
    stream: Stream,
    reader: Option<pipe::Receiver>,
    capture: Capture,
}

impl Pipe {
    fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    fn close(&mut self, sink: impl FnMut(Line)) {
        self.reader = None;
        self.capture.finish(sink);
    }
}

async fn start(spec: &mut ChildSpec, masker: &Masker) -> Result<Started, ChildError> {
    let program = spec.program.to_string_lossy().into_owned();
    let Some(path) = find_program(&spec.program, &spec.environment, spec.cwd.as_deref()) else {
        return Err(ChildError::NotFound { label: spec.label.clone(), program });
    };
    let started = match spec.terminal {
        Some(size) => {
            // Fewer control codes to begin with.
            if spec.environment.get(TERM).is_none() {
                spec.environment = spec.environment.clone().set(TERM, "dumb");
            }
            start_on(open_terminal(size), spec, masker, &path).await
        }
        None => start_with_pipes(spec, masker, &path).await,
    };
    started.map_err(|reason| ChildError::Start { label: spec.label.clone(), program, reason })
}

async fn start_on(
    terminal: io::Result<Terminal>,
    spec: &mut ChildSpec,
    masker: &Masker,
    path: &Path,
) -> io::Result<Started> {
    let Terminal { reader, writer, child } = terminal?;
    let born = starter::start(spec.host.command(spec, path), Some(child)).await?;
    let capture = Capture::new(Stream::Terminal, masker, spec.kept_bytes);
    let pipes = vec![Pipe { stream: Stream::Terminal, reader: Some(reader), capture }];
    let feeding = feeding(std::mem::take(&mut spec.stdin), Some(writer), END_OF_INPUT);
    Ok(Started { born, pipes, feeding })
}

async fn start_with_pipes(spec: &mut ChildSpec, masker: &Masker, path: &Path) -> io::Result<Started> {
    let input = std::mem::take(&mut spec.stdin);
    let mut command = spec.host.command(spec, path);
    command.stdin(if matches!(input, Input::Null) { Stdio::null() } else { Stdio::piped() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut born = starter::start(command, None).await?;
    let writer = match born.stdin.take() {
        Some(stdin) => Some(pipe::Sender::from_owned_fd(stdin)?),
        None => None,
    };
    let mut pipes = Vec::new();
    for (stream, end) in [(Stream::Stdout, born.stdout.take()), (Stream::Stderr, born.stderr.take())] {
        if let Some(end) = end {
            let reader = Some(pipe::Receiver::from_owned_fd(end)?);
            pipes.push(Pipe { stream, reader, capture: Capture::new(stream, masker, spec.kept_bytes) });
        }
    }
    Ok(Started { born, pipes, feeding: feeding(input, writer, &[]) })
}

/// Writes the whole input and what marks its end, then closes. A child that stops reading is no error.
fn feeding(
    input: Input,
    writer: Option<impl AsyncWrite + Unpin + Send + 'static>,
    end: &'static [u8],
) -> Feeding {
    Box::pin(async move {
        let Some(mut writer) = writer else { return };
        let written = match input {
            Input::Null => return,
            Input::Bytes(bytes) => writer.write_all(&bytes).await,
            Input::Piped(mut source) => tokio::io::copy(&mut source, &mut writer).await.map(drop),
        };
        if written.is_ok() {
            drop(writer.write_all(end).await);
        }
    })
}

async fn feed(feeding: &mut Option<Feeding>) {
    match feeding {
        Some(feeding) => feeding.await,
        None => pending().await,
    }
}

/// Reads from whichever pipe has something: its place and how many bytes, 0 at its end.
async fn read_any(pipes: &mut [Pipe], chunk: &mut [u8]) -> (usize, usize) {
    poll_fn(|context| {
        for (at, pipe) in pipes.iter_mut().enumerate() {
            let Some(reader) = &mut pipe.reader else { continue };
            let mut buffer = ReadBuf::new(chunk);
            match Pin::new(reader).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => return Poll::Ready((at, buffer.filled().len())),
                // A terminal that nobody has open any more answers EIO (pty(7)): that is its end.
                Poll::Ready(Err(_)) => return Poll::Ready((at, 0)),
                Poll::Pending => {}
            }
        }
        Poll::Pending
    })
    .await
}

async fn how_it_ended(
    status: tokio::sync::oneshot::Receiver<io::Result<ExitStatus>>,
) -> io::Result<ExitStatus> {
    match tokio::time::timeout(REAPING, status).await {
        Ok(Ok(status)) => status,
        Ok(Err(_)) | Err(_) => Err(io::Error::other("the thread that watches it gave no answer")),
    }
}
