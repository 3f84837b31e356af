package io.github.gitopsrollback

/**
 * What a build leaves among its artifacts.
 *
 * A controller's disk may be full when somebody has to go back. So a caller is told what was wrong and decides what that means;
 * what is only to be looked at stops nothing.
 */
class Archive implements Serializable {

    private static final long serialVersionUID = 1

    private final Object script
    private final String step

    /**
     * @param script the step's script
     * @param step its name, for messages
     */
    Archive(Object script, String step) {
        this.script = script
        this.step = step
    }

    /** Archives the files of a pattern under their paths below a folder; returns what was wrong, empty if nothing was. */
    String put(String root, String pattern, boolean mayLack = false) {
        try {
            script.dir(root) {
                script.archiveArtifacts(artifacts: pattern, allowEmptyArchive: mayLack)
            }
        } catch (IOException problem) {  // an AbortException of the step is one too
            return problem.message ?: 'no reason was given'
        }
        return ''
    }

    /** Archives what is only to be looked at; says so where that fails, and returns whether it is there. */
    boolean show(String root, String pattern) {
        String problem = put(root, pattern, true)
        if (problem) {
            script.echo("warning: ${pattern} could not be archived: ${problem}")
        }
        return problem == ''
    }

    /** Marks the build as one that a discarder leaves alone, for it holds a record. */
    void keepBuild() {
        try {
            script.currentBuild.keepLog = true
        } catch (IOException problem) {
            script.unstable("${step}: this build holds a record, and could not be marked to be kept: ${problem.message}" +
                ' (press "Keep this build forever" on its page)')
        }
    }

    /** Takes that mark away again, where the record turned out to stand for nothing. */
    void letGo() {
        try {
            script.currentBuild.keepLog = false
        } catch (IOException problem) {
            script.echo("warning: this build stays marked to be kept: ${problem.message}")
        }
    }

}
