//! The program in Gantry's test image: a small HTTP server, and the handful of commands that trying out containers
//! needs, in one static binary. `web help` lists them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{env, fs, thread};

const HELP: &str = "\
web: a small HTTP server and test commands
  serve [PORT]        answer HTTP on PORT (default $PORT or 8080); /headers shows the request's, /echo with an upgrade
                      sends back what comes
  sleep SECONDS       wait, then exit 0
  exit CODE           exit with CODE
  echo TEXT...        print TEXT
  cat [FILE...]       print files, or standard input
  env                 print the environment
  ls DIR              list a folder
  touch FILE          make an empty file
  write FILE TEXT...  write TEXT to FILE
  lines COUNT [MS]    print COUNT numbered lines, MS milliseconds apart
  get HOST:PORT PATH  fetch a page and print its body
  resolve NAME        print the addresses that a name has, in order
  reach ADDRESS:PORT [MS]  connect, within MS milliseconds (500), or exit with 1
  tally COUNT HOST:PORT PATH  fetch it so often, each time anew, and count the first lines
  serve-grpc PORT     answer the gRPC health check on PORT: a service is healthy unless its name ends with `sick`
  echo-udp PORT       answer datagrams on PORT with the pod's name
  ask-udp HOST:PORT SECONDS  send one a tenth of a second from one port, print who answers
  id                  print uid, gid and groups
  size                print the terminal's size, if there is one
  eat MEBIBYTES       use that much memory, then sleep
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let mut words = args.iter().map(String::as_str);
    let command = words.next().unwrap_or("serve");
    let rest: Vec<&str> = words.collect();
    match run(command, &rest) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("web {command}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &str, rest: &[&str]) -> io::Result<ExitCode> {
    let first = rest.first().copied();
    match command {
        "serve" => serve(port(first)?)?,
        "sleep" => thread::sleep(Duration::from_secs_f64(number(first)?)),
        "exit" => return Ok(ExitCode::from(number::<u8>(first)?)),
        "echo" => println!("{}", rest.join(" ")),
        "cat" => cat(rest)?,
        "env" => env::vars().for_each(|(name, value)| println!("{name}={value}")),
        "ls" => ls(first.unwrap_or("."))?,
        "touch" => drop(fs::File::create(needed(first)?)?),
        "write" => fs::write(needed(first)?, rest.get(1..).unwrap_or_default().join(" "))?,
        "lines" => lines(number(first)?, rest.get(1).map_or(Ok(0), |ms| number(Some(ms)))?)?,
        "get" => print!("{}", get(needed(first)?, rest.get(1).copied().unwrap_or("/"))?),
        "resolve" => resolve(needed(first)?)?,
        "reach" => reach(needed(first)?, rest.get(1).map_or(Ok(500), |ms| number(Some(ms)))?)?,
        "tally" => tally(number(first)?, needed(rest.get(1).copied())?, rest.get(2).copied().unwrap_or("/"))?,
        "serve-grpc" => serve_grpc(number(first)?)?,
        "echo-udp" => echo_udp(number(first)?)?,
        "ask-udp" => ask_udp(needed(first)?, number(rest.get(1).copied())?)?,
        "id" => id()?,
        "size" => size()?,
        "eat" => eat(number(first)?),
        "help" | "--help" => print!("{HELP}"),
        other => {
            eprint!("web: unknown command {other}\n{HELP}");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn needed(word: Option<&str>) -> io::Result<&str> {
    word.ok_or_else(|| io::Error::other("an argument is missing; see `web help`"))
}

fn number<T: std::str::FromStr>(word: Option<&str>) -> io::Result<T> {
    let word = needed(word)?;
    word.parse().map_err(|_| io::Error::other(format!("not a number in range: {word}")))
}

fn port(word: Option<&str>) -> io::Result<u16> {
    match (word, env::var("PORT")) {
        (Some(word), _) => number(Some(word)),
        (None, Ok(port)) => number(Some(&port)),
        (None, Err(_)) => Ok(8080),
    }
}

/// Whether `/ready` and `/healthy` say yes: `POST /ready/no` and so on turn them.
struct State {
    served: AtomicU64,
    ready: AtomicU64,
    healthy: AtomicU64,
}

fn serve(port: u16) -> io::Result<()> {
    // As process 1 of a container it would ignore SIGTERM otherwise, and every stop would last the whole grace period.
    ctrlc::set_handler(|| std::process::exit(0)).map_err(io::Error::other)?;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("listening on port {port}");
    let state: &'static State =
        Box::leak(Box::new(State { served: AtomicU64::new(0), ready: AtomicU64::new(1), healthy: AtomicU64::new(1) }));
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        thread::spawn(move || drop(answer(stream, state)));
    }
    Ok(())
}

fn answer(stream: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
        let headers = headers(&mut reader)?;
        io::copy(&mut (&mut reader).take(length(&headers)), &mut io::sink())?;
        if let (Some(protocol), "/echo") = (header(&headers, "upgrade"), path) {
            println!("{method} {path} 101");
            return echo(&mut reader, &mut stream, protocol);
        }
        let (status, body) = match (method, path) {
            ("GET", "/headers") => ("200 OK", headers.concat()),
            _ => page(method, path, state),
        };
        println!("{method} {path} {status}");
        // At once: whoever stops this program meets it before an answer or after it.
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes())?;
    }
}

/// Lines up to the empty one.
fn headers(reader: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            return Ok(headers);
        }
        headers.push(line);
    }
}

fn header<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    let pairs = headers.iter().filter_map(|line| line.split_once(':'));
    pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

fn length(headers: &[String]) -> u64 {
    header(headers, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0)
}

/// Agrees to another protocol, whichever, and sends back what comes.
fn echo(reader: &mut impl Read, stream: &mut TcpStream, protocol: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")?;
    io::copy(reader, stream).map(drop)
}

fn page(method: &str, path: &str, state: &State) -> (&'static str, String) {
    let verdict = |flag: &AtomicU64| match flag.load(Ordering::Relaxed) {
        0 => ("503 Service Unavailable", "no\n".to_owned()),
        _ => ("200 OK", "yes\n".to_owned()),
    };
    match (method, path) {
        ("GET", "/ready") => verdict(&state.ready),
        ("GET", "/healthy") => verdict(&state.healthy),
        ("POST", "/ready/no") => turn(&state.ready, 0),
        ("POST", "/ready/yes") => turn(&state.ready, 1),
        ("POST", "/healthy/no") => turn(&state.healthy, 0),
        ("POST", "/exit") => std::process::exit(3),
        ("GET", _) => {
            let served = state.served.fetch_add(1, Ordering::Relaxed) + 1;
            let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
            let version = env::var("VERSION").unwrap_or_default();
            ("200 OK", format!("hello from {} {version}\nrequest {served}\n", host.trim()))
        }
        _ => ("405 Method Not Allowed", String::new()),
    }
}

fn turn(flag: &AtomicU64, to: u64) -> (&'static str, String) {
    flag.store(to, Ordering::Relaxed);
    ("200 OK", "done\n".to_owned())
}

fn cat(files: &[&str]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if files.is_empty() {
        io::copy(&mut io::stdin().lock(), &mut out)?;
    }
    for file in files {
        io::copy(&mut fs::File::open(file)?, &mut out)?;
    }
    out.flush()
}

fn ls(dir: &str) -> io::Result<()> {
    let mut names = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    names.iter().for_each(|name| println!("{name}"));
    Ok(())
}

fn lines(count: u64, pause_ms: u64) -> io::Result<()> {
    for n in 1..=count {
        writeln!(io::stdout(), "line {n}")?;
        thread::sleep(Duration::from_millis(pause_ms));
    }
    Ok(())
}

fn get(address: &str, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reader = BufReader::new(stream);
    let headers = headers(&mut reader)?;
    if headers.is_empty() {
        return Err(io::Error::other("the connection ended without an answer"));
    }
    let length = length(&headers);
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body)?;
    Ok(body)
}

fn resolve(name: &str) -> io::Result<()> {
    let mut addresses: Vec<_> = (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    addresses.sort();
    addresses.dedup();
    addresses.iter().for_each(|address| println!("{address}"));
    Ok(())
}

fn reach(address: &str, milliseconds: u64) -> io::Result<()> {
    let to = address.parse().map_err(io::Error::other)?;
    TcpStream::connect_timeout(&to, Duration::from_millis(milliseconds))?;
    println!("reached {address}");
    Ok(())
}

fn tally(count: u32, address: &str, path: &str) -> io::Result<()> {
    let mut tally: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..count {
        let body = get(address, path)?;
        *tally.entry(body.lines().next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    tally.iter().for_each(|(line, count)| println!("{count} {line}"));
    Ok(())
}

/// The standard gRPC health service, with as much of HTTP/2 as one call a connection needs.
fn serve_grpc(port: u16) -> io::Result<()> {
    ctrlc::set_handler(|| std::process::exit(0)).map_err(io::Error::other)?;
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("listening on port {port}");
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        thread::spawn(move || drop(answer_grpc(stream)));
    }
    Ok(())
}

/// Types of frames (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// Flags: of settings and pings that they are an answer, else that the stream ends here; and that the headers do.
const LAST: u8 = 1;
const WHOLE: u8 = 4;

fn answer_grpc(mut stream: TcpStream) -> io::Result<()> {
    // What every client says first.
    stream.read_exact(&mut [0; 24])?;
    stream.write_all(&frame(SETTINGS, 0, [0; 4], &[]))?;
    let mut asked = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let [high, middle, low, kind, flags, id @ ..] = head;
        let mut body = Vec::new();
        (&mut stream).take(u32::from_be_bytes([0, high, middle, low]).into()).read_to_end(&mut body)?;
        match (kind, flags & LAST) {
            (DATA, last) => {
                asked.extend(body);
                if last == LAST {
                    let status = if asked.ends_with(b"sick") { 2 } else { 1 };
                    println!("health {status}");
                    stream.write_all(&health(id, status))?;
                    asked.clear();
                }
            }
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, LAST, id, &[]))?,
            (PING, 0) => stream.write_all(&frame(PING, LAST, id, &body))?,
            _ => {}
        }
    }
}

/// A whole answer. Headers are literal; `:status: 200` is the eighth of those that need no name.
fn health(id: [u8; 4], status: u8) -> Vec<u8> {
    let literal = |name: &str, value: &str| {
        let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
        [vec![0], text(name), text(value)].concat()
    };
    let head = [vec![0x88], literal("content-type", "application/grpc")].concat();
    // Not compressed, two bytes long: the field 1, a number.
    let message = [0, 0, 0, 0, 2, 8, status];
    let trailers = literal("grpc-status", "0");
    [frame(HEADERS, WHOLE, id, &head), frame(DATA, 0, id, &message), frame(HEADERS, WHOLE | LAST, id, &trailers)]
        .concat()
}

fn frame(kind: u8, flags: u8, id: [u8; 4], body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = (body.len() as u32).to_be_bytes();
    [&length[..], &[kind, flags], &id, body].concat()
}

fn echo_udp(port: u16) -> io::Result<()> {
    ctrlc::set_handler(|| std::process::exit(0)).map_err(io::Error::other)?;
    let socket = UdpSocket::bind(("0.0.0.0", port))?;
    let name = fs::read_to_string("/etc/hostname").unwrap_or_default();
    loop {
        let (_, from) = socket.recv_from(&mut [0; 16])?;
        socket.send_to(name.trim().as_bytes(), from)?;
    }
}

fn ask_udp(address: &str, seconds: u64) -> io::Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    socket.connect(address)?;
    for _ in 0..seconds * 10 {
        let mut name = [0; 128];
        // Nobody may be there for a moment.
        let answer = socket.send(b"who").and_then(|_| socket.recv(&mut name));
        match answer {
            Ok(length) => println!("{}", String::from_utf8_lossy(name.get(..length).unwrap_or_default())),
            Err(error) => println!("nobody: {error}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn id() -> io::Result<()> {
    let status = fs::read_to_string("/proc/self/status")?;
    status
        .lines()
        .filter(|l| ["Uid:", "Gid:", "Groups:"].iter().any(|p| l.starts_with(p)))
        .for_each(|l| println!("{l}"));
    Ok(())
}

fn size() -> io::Result<()> {
    let columns = env::var("COLUMNS").unwrap_or_default();
    let terminal = io::IsTerminal::is_terminal(&io::stdout());
    println!("terminal {terminal} {columns}");
    Ok(())
}

fn eat(mebibytes: usize) {
    let eaten: Vec<u8> = (0..mebibytes << 20).map(|n| n as u8 | 1).collect();
    println!("holding {} bytes", eaten.iter().filter(|byte| **byte != 0).count());
    thread::sleep(Duration::from_secs(3600));
}
