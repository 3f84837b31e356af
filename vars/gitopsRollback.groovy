import groovy.json.JsonOutput
import io.github.gitopsrollback.Parameters
import io.github.gitopsrollback.Proposal
import io.github.gitopsrollback.Report
import io.github.gitopsrollback.StepRun
import io.github.gitopsrollback.Waiting

/** Puts the previous image back, or the one of a plan, and holds it there; see gitopsRollback.txt. */
Map call(Map params = [:]) {
    List<String> own = ['plan', 'reason', 'strategy', 'to', 'asOf', 'query', 'again', 'accept', 'from', 'skipBlocked', 'dryRun', 'keep',
                        'by', 'approvedBy', 'allowedServices', 'report']
    own += new Parameters(this, 'gitopsRollback').proposal() + new Parameters(this, 'gitopsRollback').waiting()
    StepRun run = new StepRun(this, 'gitopsRollback').check(params, own, ['service', 'reason'])
    long started = System.currentTimeMillis()
    return run.inFolder {
        String folder = run.freshFolder()
        Map<String, String> more = [GITOPS_RECORD_DIR: folder]
        if (run.values.plan instanceof Map) {
            more.GITOPS_PLAN = "${folder}/plan.json".toString()
            writeFile(file: more.GITOPS_PLAN, text: JsonOutput.toJson(run.values.plan))
        }
        Map outcome = [:]
        try {
            outcome = run.run('rollback', more)
        } finally {
            run.archive(folder, 'gitops-rollback/**', true)
        }
        Proposal proposal = new Proposal(run)
        Map result = proposal.expect(outcome)
        Report report = new Report(this)
        report.show(result.services, result.dryRun ? 'dry run: ' : '', proposal.after(outcome, result.changed ? ', held' : ''))
        Map changed = report.changed(result, started)
        Map waited = new Waiting(run).after(outcome)
        run.report([GITOPS_RESULT: outcome.file] + more.subMap(['GITOPS_PLAN']) + (waited ? [GITOPS_ROLLOUT: waited.file] : [:]))
        return waited ? changed + [times: waited.result.seconds, state: waited.result.state] : changed
    }
}
