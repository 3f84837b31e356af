import io.github.gitopsrollback.Report
import io.github.gitopsrollback.StepRun

/** Finds the image that a rollback would go back to, and says why; see gitopsFindPreviousImage.txt. */
Map call(Map params = [:]) {
    List<String> own = ['strategy', 'to', 'query', 'again', 'accept', 'allowedServices', 'report']
    StepRun run = new StepRun(this, 'gitopsFindPreviousImage').check(params, own, ['service'])
    return run.inFolder {
        Map outcome = run.run('plan')
        Map plan = run.expect(outcome)
        run.archive(outcome.file - '/gitops-rollback/gitopsFindPreviousImage-result.json', 'gitops-rollback/*-result.json')
        new Report(this).show(plan.services, 'plan: ')
        run.report([GITOPS_PLAN: outcome.file])
        return plan
    }
}
