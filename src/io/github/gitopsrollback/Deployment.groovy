package io.github.gitopsrollback

/**
 * Record, archive, deploy; again where the manifests moved meanwhile.
 *
 * What is archived is what is replaced: a deploy names the record it was made with, and the command refuses it if the
 * manifests are no longer as recorded. A deploy whose record cannot be archived does not go.
 */
class Deployment implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int mostRounds = 5
    private final int moved = 5
    private boolean isArchived = false

    /** @param run the step's run */
    Deployment(StepRun run) {
        this.run = run
    }

    /**
     * Deploys; returns `{commit, from, to, seconds}`.
     *
     * With `beforeBuild` it only asks whether it would be refused, and returns as `hold` which holds `release` would end.
     */
    Map deploy() {
        long started = System.currentTimeMillis()
        Outcome ended = new Outcome(run)
        if (run.values.beforeBuild) {
            Map asked = run.run('deploy')
            return ended.changed(ended.expect(asked), started) + [hold: asked.told.hold]
        }
        Map outcome = [:]
        locked(locks()) {
            outcome = rounds()
        }
        if (outcome.code != 0 && isArchived && !ended.isWaiting(outcome)) {
            run.script.echo("${run.step}: the record that this build archived stands for a deploy that did not happen; nobody goes back by it")
        }
        Map result = ended.expect(outcome)
        run.page.show(outcome.told)
        if (isArchived) {
            ended.linkRecords(result)
        }
        Map changed = ended.changed(result, started)
        Map waited = new Waiting(run).after(outcome)
        run.report([GITOPS_RESULT: outcome.file] + (waited ? [GITOPS_ROLLOUT: waited.file] : [:]))
        return waited ? changed + [times: waited.result.seconds, state: waited.result.state] : changed
    }

    private Map rounds() {
        int round = 1
        Map outcome = once()
        while (outcome.code == moved && round < mostRounds && isRepeatable()) {
            round = round + 1
            run.script.echo("${run.step}: the manifests moved meanwhile; recording again (round ${round} of ${mostRounds})")
            outcome = once()
        }
        return outcome
    }

    /** Whether a new round can undo nothing that others did meanwhile: it must not end a hold that was not there when the step began. */
    private boolean isRepeatable() {
        return !run.values.from && (run.values.hold || !run.holds('release', 'GITOPS_RELEASE'))
    }

    private Map once() {
        String folder = run.freshFolder()
        Map recorded = run.run('record', [GITOPS_RECORD_DIR: folder], ['from', 'reason'])
        if (recorded.code != 0) {
            return recorded
        }
        List<String> files = []
        for (one in recorded.result.records) {
            files << one.file
            if (!one.unchanged && !run.values.dryRun) {
                archive(folder, "gitops-rollback/${one.record.environment}/${one.record.service}/**")
            }
        }
        return isArchived ? kept(files) : deployed(files)
    }

    private Map deployed(List<String> files) {
        return run.run('deploy', [GITOPS_RECORD: files.join('\n')])
    }

    private void archive(String folder, String pattern) {
        String problem = run.archive.put(folder, pattern)
        if (problem) {
            run.page.show([title: 'failed: the record cannot be archived', about: []])
            run.script.error("${run.step}: the record of what would be replaced cannot be archived, so nothing was deployed: ${problem}" +
                ' (look at the controller\'s disk; without the record nobody could go back to what runs now)')
        }
        isArchived = true
    }

    /**
     * The build that holds the record of what a rollback goes back to outlives the others; so does one that may hold it.
     *
     * It is marked before the deploy, which then needs no right to do so. What lets it go later is the command's `keep`.
     */
    private Map kept(List<String> files) {
        run.archive.keepBuild()
        Map outcome = deployed(files)
        boolean isUncertain = outcome.result == null || outcome.code == 130 || new Outcome(run).isWaiting(outcome)
        boolean isChanged = outcome.code == 0 && outcome.result.changed && !outcome.result.dryRun
        if (!isUncertain && !isChanged) {
            run.archive.letGo()
        }
        return outcome
    }

    private List<String> locks() {
        if (!run.values.lock) {
            return []
        }
        String environment = run.values.environment ?: run.script.env.GITOPS_ENVIRONMENT ?: 'default'
        List<String> names = []
        Object named = run.values.service ?: run.values.image  // `all` names none, but each has its image: cart=IMAGE
        for (service in new Parameters(run.script, run.step).text(named).tokenize(', ')) {
            names << "gitops-rollback/${environment}/${service.tokenize('=').first()}".toString()
        }
        return names.toSorted()
    }

    private void locked(List<String> names, Closure body) {
        if (names.isEmpty()) {
            body()
            return
        }
        run.script.lock(names.first()) {
            locked(names.drop(1), body)
        }
    }

}
