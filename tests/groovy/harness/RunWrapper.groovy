package harness

/** A build as another build sees it. */
class RunWrapper implements Serializable {
    private static final long serialVersionUID = 1
    List<Map> causes = []
    List<RunWrapper> upstreamBuilds = []
    int number
    String displayName
    String description
    boolean keepLog
    String result

    List<Map> getBuildCauses(String className = null) {
        className ? causes.findAll { it._class == className } : causes
    }

    void setResult(String value) {
        List order = ['SUCCESS', 'UNSTABLE', 'FAILURE', 'NOT_BUILT', 'ABORTED']
        if (!(value in order)) {
            throw new HarnessError("no such result: ${value}")
        }
        if (result == null || order.indexOf(value) > order.indexOf(result)) {
            result = value
        }
    }

    String getCurrentResult() { result ?: 'SUCCESS' }

    Object getRawBuild() { throw new HarnessError('getRawBuild is not for pipelines') }
}
