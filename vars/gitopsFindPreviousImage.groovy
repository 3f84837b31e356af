import io.github.gitopsrollback.Report
import io.github.gitopsrollback.StepRun

/** Finds the image that a rollback would go back to, and says why; see gitopsFindPreviousImage.txt. */
Map call(Map params = [:]) {
    List<String> own = ['strategy', 'to', 'asOf', 'query', 'again', 'accept', 'skipBlocked', 'allowedServices', 'report']
    StepRun run = new StepRun(this, 'gitopsFindPreviousImage').check(params, own, ['service'])
    return run.inFolder {
        Map outcome = run.run('plan')
        Map plan = run.expect(outcome)
        run.archive(outcome.file - '/gitops-rollback/gitopsFindPreviousImage-result.json', 'gitops-rollback/*-result.json')
        Report report = new Report(this)
        report.show(plan.services, 'plan: ')
        for (service in plan.services) {
            for (block in service.blockedBy) {
                block.hint = report.hint(block.hint)
            }
        }
        run.report([GITOPS_PLAN: outcome.file])
        return plan
    }
}
