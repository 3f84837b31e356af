package io.github.gitopsrollback

/**
 * Record, archive, deploy; again where the manifests moved meanwhile.
 *
 * What is archived is what is replaced: a deploy names the record it was made with, and the command refuses it if the
 * manifests are no longer as recorded.
 */
class Deployment implements Serializable {

    private static final long serialVersionUID = 1

    private final StepRun run
    private final int mostRounds = 5
    private final int moved = 5

    /** @param run the step's run */
    Deployment(StepRun run) {
        this.run = run
    }

    /** Deploys; returns `{commit, from, to, seconds}`. */
    Map deploy() {
        long started = System.currentTimeMillis()
        Map outcome = [:]
        locked(locks()) {
            outcome = rounds()
        }
        Map result = outcome.result
        Report report = new Report(run.script)
        report.show(result.services, result.dryRun ? 'dry run: ' : '', new Proposal(run).after(outcome, ''))
        Map changed = report.changed(result, started)
        Map waited = new Waiting(run).after(outcome)
        run.report([GITOPS_RESULT: outcome.file] + (waited ? [GITOPS_ROLLOUT: waited.file] : [:]))
        return waited ? changed + [times: waited.result.seconds, state: waited.result.state] : changed
    }

    private Map rounds() {
        int round = 1
        Map outcome = once()
        while (outcome.code == moved && round < mostRounds && !run.values.from) {
            round = round + 1
            run.script.echo("${run.step}: the manifests moved meanwhile; recording again (round ${round} of ${mostRounds})")
            outcome = once()
        }
        new Proposal(run).expect(outcome)
        return outcome
    }

    private Map once() {
        String folder = run.freshFolder()
        List<String> others = ['release', 'allowOlder', 'accept', 'from', 'dryRun', 'reason', 'skipBlocked', 'keep'] +
            new Parameters(run.script, run.step).proposal() + new Parameters(run.script, run.step).waiting()
        Map recorded = run.run('record', [GITOPS_RECORD_DIR: folder], others)
        if (recorded.code != 0) {
            return recorded
        }
        List<String> files = []
        for (one in recorded.result.records) {
            files << one.file
            if (!one.unchanged && !run.values.dryRun) {
                Map record = one.record
                run.archive(folder, "gitops-rollback/${record.environment}/${record.service}/**")
            }
        }
        Map outcome = [:]
        try {
            outcome = run.run('deploy', [GITOPS_RECORD: files.join('\n')])
        } finally {
            keep(outcome)
        }
        return outcome
    }

    /**
     * The build that holds the record of what a rollback goes back to outlives the others; so does one that may hold it.
     * What lets it go again is the command's `keep`.
     */
    private void keep(Map outcome) {
        boolean uncertain = outcome.result == null || outcome.code == 130 || new Proposal(run).isWaiting(outcome)
        boolean changed = outcome.code == 0 && outcome.result.changed && !outcome.result.dryRun
        if (uncertain || changed) {
            run.script.currentBuild.keepLog = true
        }
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
