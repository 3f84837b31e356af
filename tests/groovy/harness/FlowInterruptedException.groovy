package harness

/** What an abort, a rejected input and a timeout throw. */
class FlowInterruptedException extends Exception {
    FlowInterruptedException(String message) { super(message) }
}
