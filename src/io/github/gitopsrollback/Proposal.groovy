package io.github.gitopsrollback

/** The pull request that a command opened instead of pushing, while it waits for its merge. */
class Proposal implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int waiting = 7

    /** @param run the step's run */
    Proposal(StepRun run) {
        this.run = run
    }

    /** Whether a command opened one, and it is not merged. */
    boolean isWaiting(Map outcome) {
        return outcome.code == waiting && outcome.result?.pullRequest != null
    }

    /**
     * Returns the result of a command that has done what it should, or that opened a pull request for it.
     *
     * While that waits, the build is unstable: what was asked for has not happened yet.
     */
    Map expect(Map outcome) {
        if (!isWaiting(outcome)) {
            return run.expect(outcome)
        }
        run.script.unstable("${run.step}: ${outcome.result.error.message}")
        return outcome.result
    }

    /**
     * What stands behind the change in a build's description: which pull request it waits for, or that it is done.
     *
     * @param outcome what the command ended with
     * @param done what stands there when it is done
     */
    String after(Map outcome, String done) {
        return isWaiting(outcome) ? ", waits for pull request ${outcome.result.pullRequest.number}" : done
    }

}
