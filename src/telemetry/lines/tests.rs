use super::*;

const BOUND: Duration = Duration::from_secs(20);
/// Room for two lines of eight bytes.
const BYTES_MAX: usize = 2 * (8 + LINE_OVERHEAD);

/// What a reader does with each write: takes some bytes, or fails. Without its next word, writing blocks.
struct SlowReader {
    words: Receiver<io::Result<usize>>,
    read: Sender<Vec<u8>>,
}

impl Write for SlowReader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.words.recv().expect("the test says what the reader does")?;
        let taken = &bytes[..most.min(bytes.len())];
        self.read.send(taken.to_vec()).expect("the test looks at what was read");
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Pipe {
    lines: LogQueue,
    words: Sender<io::Result<usize>>,
    read: Receiver<Vec<u8>>,
    said: Receiver<u64>,
}

impl Pipe {
    fn new() -> Pipe {
        let ((words, answers), (taken, read), (say, said)) = (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let reader = SlowReader { words: answers, read: taken };
        let lines = LogQueue::start(reader, BYTES_MAX, move |dropped| say.send(dropped).unwrap()).unwrap();
        Pipe { lines, words, read, said }
    }

    fn put(&self, line: &str) {
        assert_eq!((&self.lines).write(line.as_bytes()).unwrap(), line.len());
    }

    fn reader(&self, word: io::Result<usize>) {
        self.words.send(word).unwrap();
    }

    /// Waits until lines up to `waiting` are all that is queued: a line leaves the queue a moment after it was written.
    fn settles_to(&self, waiting: &str) {
        let more = |progress: &mut QueueLoad| progress.queued_bytes > cost(waiting.as_bytes());
        let mut progress = self.lines.shared.progress.lock();
        assert!(!self.lines.shared.settled.wait_while_for(&mut progress, more, BOUND).timed_out());
    }

    fn takes(&self) -> String {
        self.reader(Ok(usize::MAX));
        String::from_utf8(self.read.recv_timeout(BOUND).unwrap()).unwrap()
    }
}

#[test]
fn what_finds_no_room_is_dropped_and_said_when_lines_flow_again() {
    let pipe = Pipe::new();
    for number in 0..5 {
        pipe.put(&format!("line {number}\n\n"));
    }
    assert!(!pipe.lines.flush(Duration::from_millis(1)), "the reader has taken nothing yet");
    assert_eq!(pipe.takes(), "line 0\n\n");
    assert_eq!(pipe.said.recv_timeout(BOUND), Ok(3));
    assert_eq!(pipe.takes(), "line 1\n\n");
    assert!(pipe.lines.flush(BOUND));
    pipe.put("line 5\n\n");
    assert_eq!(pipe.takes(), "line 5\n\n");
}

#[test]
fn what_was_dropped_after_a_count_is_said_without_another_line() {
    let pipe = Pipe::new();
    for number in 0..5 {
        pipe.put(&format!("line {number}\n\n"));
    }
    assert_eq!(pipe.takes(), "line 0\n\n");
    assert_eq!(pipe.said.recv_timeout(BOUND), Ok(3));
    pipe.settles_to("line 1\n\n");
    for number in 5..9 {
        pipe.put(&format!("line {number}\n\n"));
    }
    assert_eq!((pipe.takes(), pipe.takes()), ("line 1\n\n".to_owned(), "line 5\n\n".to_owned()));
    assert_eq!(pipe.said.recv_timeout(BOUND), Ok(3));
}

#[test]
fn a_reader_that_has_gone_away_holds_nothing_up() {
    let pipe = Pipe::new();
    for _ in 0..100 {
        pipe.reader(Err(ErrorKind::BrokenPipe.into()));
        pipe.put("a line\n\n");
        assert!(pipe.lines.flush(BOUND));
    }
    pipe.put("another\n");
    assert_eq!(pipe.takes(), "another\n");
    assert_eq!(pipe.said.recv_timeout(BOUND), Ok(100));
}

#[test]
fn a_line_is_written_whole_however_slowly_it_is_taken() {
    let pipe = Pipe::new();
    pipe.put("abc\n");
    for word in [Ok(1), Err(ErrorKind::WouldBlock.into()), Ok(2), Err(ErrorKind::Interrupted.into()), Ok(9)] {
        pipe.reader(word);
    }
    assert!(pipe.lines.flush(BOUND));
    assert_eq!(pipe.read.try_iter().flatten().collect::<Vec<_>>(), b"abc\n");
    assert_eq!(pipe.said.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[test]
fn the_count_of_the_dropped_finds_room_in_a_full_queue() {
    let pipe = Pipe::new();
    WRITES.set(true);
    for _ in 0..5 {
        pipe.put("line\n");
    }
    WRITES.set(false);
    for _ in 0..5 {
        assert_eq!(pipe.takes(), "line\n");
    }
}
