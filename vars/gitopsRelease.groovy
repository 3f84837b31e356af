import io.github.gitopsrollback.Parameters
import io.github.gitopsrollback.Proposal
import io.github.gitopsrollback.Report
import io.github.gitopsrollback.StepRun

/** Ends the hold that a rollback set; see gitopsRelease.txt. */
Map call(Map params = [:]) {
    List<String> own = ['reason', 'forgive', 'accept', 'dryRun', 'by', 'approvedBy', 'allowedServices', 'skipBlocked']
    own += new Parameters(this, 'gitopsRelease').proposal()
    StepRun run = new StepRun(this, 'gitopsRelease').check(params, own, ['service', 'reason'])
    return run.inFolder {
        Map outcome = run.run('release')
        Proposal proposal = new Proposal(run)
        Map result = proposal.expect(outcome)
        new Report(this).show(result.services, result.dryRun ? 'dry run: released ' : 'released ', proposal.after(outcome, ''))
        return result.subMap(['commit', 'pullRequest', 'blocked']).findAll { it.value != null }
    }
}
