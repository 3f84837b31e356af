package io.github.gitopsrollback

/**
 * Waits until a change really runs, and undoes a deploy whose image is to blame, where that is wanted.
 *
 * What a failure is, and whether the image caused it, is said by the command; here it is only acted upon.
 */
class Waiting implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int overtaken = 5

    /** @param run the step's run */
    Waiting(StepRun run) {
        this.run = run
    }

    /**
     * Waits for a change, if the step is asked to; fails the build if it does not get through.
     *
     * @param change the outcome of `deploy` or `rollback`
     * @return the outcome of `wait`; empty where there was nothing to wait for
     */
    Map after(Map change) {
        Map outcome = isWanted(change) ? once(change) : [:]
        if (outcome && outcome.code != 0 && outcome.code != overtaken) {
            undo(change, outcome)
        }
        return outcome
    }

    private boolean isWanted(Map change) {
        boolean isThere = change.result.changed || run.step == 'gitopsDeploy'
        return (run.holds('wait', 'GITOPS_WAIT') || undoes()) && isThere && !change.result.dryRun && !change.result.pullRequest
    }

    /** Waits for a change; where an image was deployed already, for what stands at the tip: it may not run yet. */
    private Map once(Map change) {
        Map<String, String> options = change.result.changed ? [GITOPS_CHANGE: change.file] : [:]
        Object seconds = run.values.waitTimeout ?: run.script.env.GITOPS_WAIT_TIMEOUT
        if (seconds) {
            options.GITOPS_TIMEOUT = "${seconds}".toString()
        }
        Map outcome = run.run('wait', options, ['timeout'])
        run.page.add(outcome.told.title ?: 'not verified')
        if (outcome.code == overtaken) {
            run.script.unstable("${run.step}: ${outcome.result.error.message}")
        } else if (outcome.result?.state == 'unverified' && outcome.code == 0) {
            run.script.unstable("${run.step}: it was to be waited for, and nothing could be verified: whether the image runs is not known" +
                ' (set GITOPS_KUBECONFIG_CREDENTIALS_ID, or have Flux report to the repository)')
        }
        return outcome
    }

    /** Rolls back what was deployed: once, and only what the image itself can have caused. */
    private void undo(Map change, Map outcome) {
        if (!undoes() || !change.result.changed || !isByImage(outcome)) {
            run.report([GITOPS_RESULT: change.file, GITOPS_ROLLOUT: outcome.file])
            outcome.told.title = ''  // it stands behind the change's title already
            new Outcome(run).fail(outcome)
        }
        String reason = outcome.result.error.message
        Map back = rollBack(change, reason)
        Map seen = back.code == 0 ? follow(back) : outcome
        String done = back.code == 0 ? finished(back, seen) : "it could not be rolled back: ${back.result?.error?.message}"
        outcome.told = [error: "${reason} (${done}) (${outcome.result.error.hint})".toString()]
        run.report([GITOPS_RESULT: back.code == 0 ? back.file : change.file, GITOPS_ROLLOUT: seen.file])
        new Outcome(run).fail(outcome)
    }

    /** Only a deploy is undone: a rollback never is, whatever the folder says. */
    private boolean undoes() {
        return run.step == 'gitopsDeploy' && run.holds('autoRollback', 'GITOPS_AUTO_ROLLBACK')
    }

    /** Whether the image of any service is to blame. */
    private boolean isByImage(Map outcome) {
        for (rollout in outcome.result?.rollouts) {
            if (rollout.failure?.byImage) {
                return true
            }
        }
        return false
    }

    /** All that was deployed in one commit goes back in one; what ran already stays. */
    private Map rollBack(Map change, String reason) {
        List<String> services = []
        List<String> images = []
        for (one in change.result.services) {
            if (one.edits) {
                services << one.service
                images << "${one.service}=${one.to}".toString()
            }
        }
        Map<String, String> options = [
            GITOPS_SERVICE: services.join(','), GITOPS_FROM: images.join(','), GITOPS_REASON: reason,
            GITOPS_UNATTENDED: 'true', GITOPS_RECORD_DIR: "${run.folder}/auto-rollback".toString(),
        ]
        List<String> others = ['service', 'all', 'image', 'release', 'allowOlder', 'accept', 'from', 'reason', 'skipBlocked']
        Map back = run.run('rollback', options, others)
        // Not where the record of the deploy lies: that is the one a later rollback asks for.
        run.archive.show(run.folder, 'auto-rollback/**')
        return back
    }

    private Map follow(Map back) {
        run.page.show(back.told)
        return once(back)
    }

    private String finished(Map back, Map seen) {
        String images = back.told.to
        if (seen.code == 0) {
            return "rolled back to ${images}, and held"
        }
        return "rolled back to ${images}, and held; but ${seen.result?.error?.message ?: 'how that went is above'}"
    }

}
