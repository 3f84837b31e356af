import io.github.gitopsrollback.Report
import io.github.gitopsrollback.StepRun

/** Ends the hold that a rollback set; see gitopsRelease.txt. */
Map call(Map params = [:]) {
    List<String> own = ['reason', 'forgive', 'accept', 'dryRun', 'by', 'approvedBy', 'allowedServices']
    StepRun run = new StepRun(this, 'gitopsRelease').check(params, own, ['service', 'reason'])
    return run.inFolder {
        Map result = run.expect(run.run('release'))
        new Report(this).show(result.services, result.dryRun ? 'dry run: released ' : 'released ')
        return result.commit ? [commit: result.commit] : [:]
    }
}
