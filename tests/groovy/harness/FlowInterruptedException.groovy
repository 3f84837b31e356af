package harness

/** What an abort, a rejected input and a timeout throw: without a message, and why only the log and trusted code are told. */
class FlowInterruptedException extends Exception {
    final List<Map> causes

    FlowInterruptedException(String why) { causes = [[shortDescription: why]] }
}
