package harness

/** What `error` and a failed step throw. */
class AbortException extends IOException {
    AbortException(String message) { super(message) }
}
