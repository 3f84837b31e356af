// The ready-made jobs as people meet them: who may do what, what goes wrong, and what a build says of it.
import harness.FlowInterruptedException
import harness.Request
import harness.World

String digest = 'sha256:' + 'a' * 64
Map rollback = [job: 'ops/rollback', firstRun: false, params: [SERVICE: 'cart', REASON: 'broken']]

/** Runs the rollback job; `params` and `env` are added to what it has. */
Object roll(World world, Map job, Map more = [:]) {
    world.jenkinsfile(job + more + [params: job.params + (more.params ?: [:]), env: (job.env ?: [:]) + (more.env ?: [:])], 'Jenkinsfile.rollback')
}

void deploy(World world, String image = World.NEW) {
    def done = world.step("gitopsDeploy(service: 'cart', image: '${image}')")
    if (done.failure) { throw done.failure }
}

/** What others do once, before the first shell of a name. */
Closure meanwhile(String label, Closure what) {
    boolean done = false
    return { Request step ->
        if (!done && step.name == 'sh' && step.arguments[0].label == label) {
            done = true
            what()
        }
    }
}

scenario('a deploy job that does not know its parameters yet builds nothing, whatever its folder says') { World world ->
    world.fakePodman(digest)
    Map job = [scm: [url: world.source().path], env: [GITOPS_SERVICE: 'cart', GITOPS_IMAGE_REPOSITORY: 'docker.io/acme/cart']]
    String tip = world.tip()
    def first = world.jenkinsfile(job, 'Jenkinsfile')
    same([first.run.result, first.failure, world.tip(), first.shells], ['NOT_BUILT', null, tip, []])
    same(first.run.description, 'the parameters were loaded, nothing else was done: build again with parameters')
    same(world.jenkinsfile(job, 'Jenkinsfile').run.result, 'SUCCESS')
    Map branch = job + [job: 'shop/cart/feature%2Fx', env: job.env + [BRANCH_NAME: 'feature/x']]
    same(world.jenkinsfile(branch, 'Jenkinsfile').run.result, 'SUCCESS')
}

scenario('a variable of the folder with a field’s name does not make a first run a real one, nor a new field a known job’s run none') { World world ->
    deploy(world)
    String tip = world.tip()
    def first = world.jenkinsfile([job: 'ops/new', env: [ACTION: 'rollback', SERVICE: 'cart', REASON: 'x']], 'Jenkinsfile.rollback')
    same([first.run.result, first.shells, world.tip()], ['NOT_BUILT', [], tip])
    def newer = roll(world, rollback, [unknown: ['AS_OF', 'SKIP_BLOCKED']])
    same([newer.failure, World.title(newer)], [null, 'cart 1.5.0 → 1.4.2, held'])
}

scenario('an empty choice of a list is red, a text beside it is taken, and both at once are a question') { World world ->
    deploy(world)
    Map job = rollback + [env: [GITOPS_SERVICES: 'cart, payment', GITOPS_ENVIRONMENTS: '']]
    def empty = roll(world, job, [params: [SERVICE: '']])
    same([empty.run.result, empty.shells], ['FAILURE', []])
    same(World.error(empty), 'SERVICE is missing: which service is meant by ACTION rollback?')
    same(empty.declared.find { it.name == 'SERVICE' }.choices, ['', 'cart', 'payment'])
    has(World.error(roll(world, job, [params: [SERVICE: 'payment', OTHER: 'cart']])), "SERVICE is 'payment' and OTHER is 'cart': which is meant?")
    def typed = roll(world, job, [params: [SERVICE: '', OTHER: 'cart']])
    same([typed.failure, World.title(typed)], [null, 'cart 1.5.0 → 1.4.2, held'])
    same(rollback.params, [SERVICE: 'cart', REASON: 'broken'])
}

scenario('without lists SERVICE is a text, and the form tells the repository') { World world ->
    def build = roll(world, rollback, [params: [ACTION: 'plan']])
    same(build.declared*.name.take(5), ['ACTION', 'MANIFESTS', 'SERVICE', 'LIBRARY', 'ENVIRONMENT'])
    same(build.declared[1].choices, [world.remote.path])
}

scenario('with a full disk of the controller a rollback goes all the same, with warnings, from its plan on') { World world ->
    deploy(world)
    def build = roll(world, rollback, [isDiskFull: true, env: [GITOPS_REPORT: '']])
    same([build.failure, build.run.result, build.archived()], [null, 'UNSTABLE', []])
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
    has(build.text, 'the record of what is replaced could not be archived: No space left on device')
    has(build.text, "the build could not be titled 'cart 1.5.0 → 1.4.2, held'")
    def history = roll(world, rollback, [params: [ACTION: 'history'], isDiskFull: true])
    same([history.failure, history.run.result], [null, 'SUCCESS'])
    same(roll(world, rollback, [params: [ACTION: 'release'], isDiskFull: true]).failure, null)
    same(world.state().hold, null)
}

scenario('a disk that fills before the record is archived: it is not linked, and the title says what was done') { World world ->
    deploy(world)
    def build = roll(world, rollback, [beforeStep: { Request step ->
        if (step.name == 'archiveArtifacts' && step.arguments[0].artifacts == 'gitops-rollback/**') { throw new IOException('No space left on device') }
    }])
    same([build.failure, build.run.result, World.title(build)], [null, 'UNSTABLE', 'cart 1.5.0 → 1.4.2, held'])
    same(World.links(build).containsKey('record'), false)
}

scenario('with a full disk of the controller a deploy does not go, and no record is called archived') { World world ->
    String tip = world.tip()
    def build = world.step([isDiskFull: true], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same([build.run.result, world.tip()], ['FAILURE', tip])
    has(World.error(build), 'gitopsDeploy: the record of what would be replaced cannot be archived, so nothing was deployed: No space left on device')
    has(World.error(world.step([isDiskFull: true], "gitopsRecordImage(service: 'cart')")), 'gitopsRecordImage: the record cannot be archived: No space left')
}

scenario('a disk that is full once the record is archived: the deploy is done, and the build says what it could not keep') { World world ->
    boolean isArchived = false
    def build = world.step([beforeStep: { Request step ->
        world.builds.last().isDiskFull = isArchived
        isArchived = isArchived || step.name == 'archiveArtifacts'
    }], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same([build.failure, build.run.result, world.image()], [null, 'UNSTABLE', World.NEW - 'docker.io/'])
    has(build.text, 'this build holds a record, and could not be marked to be kept: No space left on device')
}

scenario('a record that was archived, and a push that failed: the build says that nobody goes back by it') { World world ->
    File hook = new File(world.remote, 'hooks/pre-receive')
    hook.text = '#!/bin/sh\necho "the branch is frozen" >&2\nexit 1\n'
    hook.executable = true
    def build = world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'FAILURE')
    has(build.text, 'the record that this build archived stands for a deploy that did not happen')
    has(World.title(build), 'failed: ')
    same(build.run.keepLog, false)
}

scenario('a commit of others between Plan and Apply: the same decision is made again, and goes') { World world ->
    deploy(world)
    def build = roll(world, rollback, [beforeStep: meanwhile('gitops-rollback record') {
        world.commit('Another service', ['apps/payment/deployment.yaml': World.manifest('payment', 'acme/payment:2.1.0@sha256:' + '5' * 64)])
    }])
    same([build.failure, World.title(build)], [null, 'cart 1.5.0 → 1.4.2, held'])
}

scenario('a deploy of another image between Plan and Apply is not taken back unasked: the build says what changed') { World world ->
    deploy(world)
    def build = roll(world, rollback, [beforeStep: meanwhile('gitops-rollback record') {
        world.command('deploy', '--service', 'cart', '--image', World.NEXT, '--by', 'mo')
    }])
    same(build.run.result, 'FAILURE')
    has(world.image(), 'acme/cart:1.6.0@')
    has(World.error(build), 'as the plan says: deployed ')
    has(World.error(build), 'ago by mo (1.5.0 → 1.6.0)')
    has(World.error(build), 'build again with the same parameters')
    lacks(World.error(build), '--')
    has(World.title(build), 'not done: ')
    same(World.links(build).again, 'http://127.0.0.1:9/job/ops/job/rollback/build?delay=0sec')
}

scenario('what was approved is what is done: another image in between is refused, never another target') { World world ->
    deploy(world)
    def build = roll(world, rollback, [env: [GITOPS_APPROVERS: 'bob'], answer: {
        world.command('deploy', '--service', 'cart', '--image', World.NEXT, '--by', 'mo')
        'bob'
    }])
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'ago by mo (1.5.0 → 1.6.0)')
    has(world.image(), 'acme/cart:1.6.0@')
    same(build.shells.count('gitops-rollback plan'), 1)
}

scenario('what was approved is done, whatever else the branch got while the question waited') { World world ->
    deploy(world)
    def build = roll(world, rollback, [env: [GITOPS_APPROVERS: 'bob'], answer: {
        world.commit('Another service', ['apps/payment/deployment.yaml': World.manifest('payment', 'acme/payment:2.1.0@sha256:' + '5' * 64)])
        'bob'
    }])
    same([build.failure, World.title(build), build.shells.count('gitops-rollback plan')], [null, 'cart 1.5.0 → 1.4.2, held', 1])
    has(world.message(), 'Gitops-By: jane, approved by bob')
}

scenario('a rollback while a deploy is under way wins: during its build, and between its record and its push') { World world ->
    world.fakePodman(digest)
    deploy(world)
    Closure back = { world.command('rollback', '--service', 'cart', '--reason', 'broken') }
    Map job = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.6.0']]
    def build = world.jenkinsfile(job + [beforeStep: meanwhile('gitops-rollback build', back)], 'Jenkinsfile')
    same([build.failure, build.run.result], [null, 'UNSTABLE'])
    has(build.text, 'refused (held)')
    has(World.title(build), 'refused: cart')
    has(world.image(), ':1.4.2@')
    world.command('deploy', '--service', 'cart', '--image', World.NEXT, '--release')
    String call = "gitopsDeploy(service: 'cart', image: 'docker.io/acme/cart:1.7.0@sha256:${'7' * 64}')"
    def late = world.step([beforeStep: meanwhile('gitops-rollback deploy', back)], call)
    same(late.run.result, 'FAILURE')
    has(World.error(late), 'refused (held)')
    has(late.text, 'the record that this build archived stands for a deploy that did not happen')
    has(world.image(), ':1.4.2@')
}

scenario('no hint in a job names an option of the command line') { World world ->
    world.fakePodman(digest)
    deploy(world)
    roll(world, rollback)
    Map build = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.5.0']]
    List all = [
        world.jenkinsfile(build, 'Jenkinsfile'), roll(world, rollback), roll(world, rollback, [params: [TO: '9.9.9']]), roll(world, rollback, [params: [SERVICE: 'carts']]),
        roll(world, rollback, [params: [TO: '1.5.0', AGAIN: 'true']]), roll(world, rollback, [params: [ACCEPT: 'never-ran', AGAIN: 'true']]),
        roll(world, rollback, [params: [SERVICE: 'payment']]), roll(world, rollback, [params: [STRATEGY: 'artifact', AGAIN: 'true']]),
    ]
    all.each { one ->
        List said = one.log.findAll { it.startsWith('ERROR: ') || it.startsWith('WARNING: ') }
        same([said.size() > 0, one.log.findAll { it =~ /(?<![\w-])--[a-z]|gitops-rollback (rollback|deploy|release|plan) / }], [true, []])
    }
}

scenario('the console of a rollback is short, and every line tells something') { World world ->
    deploy(world)
    def build = roll(world, rollback, [env: [GITOPS_REPORT: '']])
    same([build.failure, build.log.size() <= 40], [null, true])
    same(build.log.findAll { !it.trim() }, [])
    int last = -1
    ['cart: 1.5.0 → 1.4.2', 'because', '+          image: acme/cart:1.4.2', 'rolled back, held', ' on main in ', 'next: ', 'report: http'].each { part ->
        int found = build.log.findIndexOf(last + 1) { it.contains(part) }
        same([part, found > last], [part, true])
        last = found
    }
    lacks(build.text, 'set +x')
    same(build.log.findAll { it.contains('@tmp') && !it.startsWith('Running in ') }, [])
}

scenario('where the plugin is there each stage’s lines are stamped, where it is not all goes without') { World world ->
    deploy(world)
    same(roll(world, rollback, [plugins: ['timestamper']]).failure, null)
    Map broken = [params: [SERVICE: 'cart', REASON: 'x'], plugins: ['timestamper']]
    has(World.error(roll(world, rollback, broken)), 'refused (already)')
}

scenario('an approval tells the plan in sentences, and the build says for whom it waits') { World world ->
    deploy(world)
    Map asked = null
    String title = null
    def build = roll(world, rollback, [env: [GITOPS_APPROVERS: 'bob,ops'], answer: {
        asked = it
        title = World.title(world.builds.last())
        'bob'
    }])
    same(build.failure, null)
    has(asked.message, 'Roll back cart 1.5.0 → 1.4.2? 1.4.2 is not verified in the registry')
    has(asked.message, 'Started by jane: broken. Who may approve: bob,ops. Nothing has been written yet; to stop the build withdraws it, and the question ends after 8 h.')
    same(title, 'waits for bob,ops: cart 1.5.0 → 1.4.2')
    same(World.title(build), 'cart 1.5.0 → 1.4.2, held')
    has(world.message(), 'Gitops-By: jane, approved by bob')
}

scenario('a declined approval is aborted and says by whom; so does one that nobody answered') { World world ->
    deploy(world)
    String tip = world.tip()
    ['Rejected by bob', 'Timeout has been exceeded', 'Aborted by jane'].each { why ->
        def build = roll(world, rollback, [env: [GITOPS_APPROVAL: 'yes', GITOPS_SELF_APPROVAL: 'no'], answer: { throw new FlowInterruptedException(why) }])
        String told = world.controller.sandboxed ? 'declined, or the build was stopped (the end of the log says by whom)' : why
        same([build.run.result, world.tip(), World.title(build)], ['ABORTED', tip, "not approved: ${told}; nothing was written".toString()])
    }
}

scenario('who started a run may approve it, unless the folder says no: then somebody else is asked') { World world ->
    deploy(world)
    List answers = ['jane', 'jane', 'bob']
    List asked = []
    Map job = [env: [GITOPS_APPROVAL: 'true', GITOPS_SELF_APPROVAL: 'no'], answer: { asked << it.message; answers.remove(0) }]
    def build = roll(world, rollback, job)
    same([build.failure, asked.size()], [null, 3])
    has(asked[0], 'It may not be jane, who started this build.')
    has(asked[1], 'jane started this build and may not approve it: somebody else has to.')
    has(world.message(), 'Gitops-By: jane, approved by bob')
}

scenario('who started a run is the same person however the name is written: Jenkins tells no case of users apart') { World world ->
    deploy(world)
    List answers = ['JANE', 'bob']
    List asked = []
    Map job = [env: [GITOPS_APPROVAL: 'true', GITOPS_SELF_APPROVAL: 'no'], answer: { asked << it.message; answers.remove(0) }]
    same([roll(world, rollback, job).failure, asked.size()], [null, 2])
    has(asked[1], 'JANE started this build and may not approve it')
    has(world.message(), 'Gitops-By: jane, approved by bob')
}

scenario('a run that is restarted from a stage is approved anew, and nothing of it can be restarted alone') { World world ->
    deploy(world)
    String tip = world.tip()
    Map job = [env: [GITOPS_APPROVAL: 'true'], restartedFrom: 'With approval']
    int asked = 0
    def declined = roll(world, rollback, job + [answer: { asked++; throw new FlowInterruptedException('Rejected by bob') }])
    same([declined.run.result, world.tip(), asked], ['ABORTED', tip, 1])
    def other = roll(world, rollback, [env: [GITOPS_APPROVAL: 'true'], restartedFrom: 'Now', answer: { asked++; throw new FlowInterruptedException('Rejected') }])
    same([other.run.result, world.tip(), asked], ['ABORTED', tip, 2])
    world.fakePodman(digest)
    Map build = [scm: [url: world.source().path], firstRun: false, restartedFrom: 'Release', params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart']]
    def again = world.jenkinsfile(build, 'Jenkinsfile')
    same([again.failure, world.podmanCalls().collect { it[0] }], [null, ['build', 'push']])
}

scenario('what earlier stages left is not made up: Apply without an approval and Deploy without a build refuse') { World world ->
    deploy(world)
    String tip = world.tip()
    String text = new File(world.controller.root, 'Jenkinsfile.rollback').getText('UTF-8').replace("approver = gitopsApprove(plan: plan, reason: params.REASON).approver", "echo 'restarted behind this stage'")
    def apply = world.build([name: 'Jenkinsfile.rollback', library: false, env: [GITOPS_APPROVAL: 'true']] + rollback, text)
    same(World.error(apply), 'an approval is wanted, and nobody approved this run: nothing is written (start the job again)')
    Map job = [name: 'Jenkinsfile', library: false, firstRun: false, scm: [url: world.source().path], params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart']]
    def late = world.build(job, new File(world.controller.root, 'Jenkinsfile').getText('UTF-8').replace('script { buildImage() }', "echo 'restarted behind this stage'"))
    same([World.error(late), world.tip()], ['nothing was built in this run, so nothing is deployed (start the job again)', tip])
}

scenario('an approval that nobody gave is none: Apply refuses') { World world ->
    deploy(world)
    String tip = world.tip()
    def build = roll(world, rollback, [env: [GITOPS_APPROVAL: 'on'], answer: { null }])
    same([build.run.result, world.tip()], ['FAILURE', tip])
    has(World.error(build), 'without anybody')
}

scenario('a setting is true, false or an error; it is never taken for false') { World world ->
    deploy(world)
    String tip = world.tip()
    ['True', 'YES', '1', 'on'].each { value ->
        def build = roll(world, rollback, [env: [GITOPS_APPROVAL: value], answer: { throw new FlowInterruptedException('Rejected') }])
        same([value, build.run.result, world.tip()], [value, 'ABORTED', tip])
    }
    def unclear = roll(world, rollback, [env: [GITOPS_APPROVAL: 'maybe']])
    same([unclear.run.result, unclear.shells, world.tip()], ['FAILURE', [], tip])
    same(World.error(unclear), "GITOPS_APPROVAL is 'maybe', which is neither true nor false (write true or false)")
    has(World.error(roll(world, rollback, [env: [GITOPS_APPROVAL: 'true', GITOPS_APPROVAL_HOURS: 'soon']])), "GITOPS_APPROVAL_HOURS is 'soon'")
    has(World.error(world.step([env: [GITOPS_WAIT: 'perhaps']], "gitopsDeploy(service: 'cart', image: '${World.NEXT}')")), "GITOPS_WAIT is 'perhaps'")
    Map asked = null
    roll(world, rollback, [env: [GITOPS_APPROVAL: 'true', GITOPS_APPROVAL_HOURS: '2'], answer: { asked = it; throw new FlowInterruptedException('Rejected') }])
    has(asked.message, 'the question ends after 2 h')
    same(roll(world, rollback, [env: [GITOPS_APPROVAL: 'No']]).failure, null)
}

scenario('a variable of the controller that contradicts a job’s parameter is refused, and told') { World world ->
    deploy(world)
    Map own = [GITOPS_APPROVERS: 'bob', GITOPS_REPOSITORY: world.remote.path]
    def build = roll(world, rollback, [jobParameters: own, env: [GITOPS_APPROVERS: 'jane']])
    same([build.run.result, build.shells], ['FAILURE', []])
    ['GITOPS_REPOSITORY', 'GITOPS_ALLOWED_SERVICES', 'GITOPS_GIT_CREDENTIALS_ID', 'GITOPS_JENKINS_CREDENTIALS_ID', 'GITOPS_ALLOWED_ACCEPT'].each { name ->
        def other = roll(world, rollback, [jobParameters: [(name): 'one'], env: [(name): 'another']])
        same([other.run.result, other.shells], ['FAILURE', []])
        has(World.error(other), "${name} is 'one' as a parameter of this job, and 'another' as a variable of ")
    }
    has(World.error(build), "GITOPS_APPROVERS is 'bob' as a parameter of this job, and 'jane' as a variable of the agent, the folder or the controller")
    def agrees = roll(world, rollback, [jobParameters: own, answer: { 'bob' }])
    same(agrees.failure, null)
}

scenario('a release of what is not held says so, and asks nobody to approve it') { World world ->
    deploy(world)
    String tip = world.tip()
    def build = roll(world, rollback, [params: [ACTION: 'release'], env: [GITOPS_APPROVERS: 'bob']])
    same([build.failure, build.run.result, world.tip(), World.title(build)], [null, 'SUCCESS', tip, 'nothing to do: cart not held'])
    roll(world, rollback)
    Map asked = null
    def released = roll(world, rollback, [params: [ACTION: 'release', REASON: 'fixed'], env: [GITOPS_APPROVERS: 'bob'], answer: { asked = it; 'bob' }])
    same([released.failure, world.state().hold, World.title(released)], [null, null, 'released cart 1.4.2'])
    has(asked.message, 'End the hold of cart, which runs 1.4.2?')
    lacks(asked.message, 'dry run')
}

scenario('a release ends the hold that was approved, and no other that came while the question waited') { World world ->
    deploy(world)
    roll(world, rollback)
    Map release = [params: [ACTION: 'release', REASON: 'fixed'], env: [GITOPS_APPROVERS: 'bob']]
    String seen = world.state().hold.id
    String tip = ''
    def other = roll(world, rollback, release + [answer: {
        world.command('rollback', '--service', 'cart', '--to', World.NEW, '--accept', 'bad', '--reason', 'the older one is worse')
        tip = world.tip()
        'bob'
    }])
    same([other.run.result, world.tip(), seen == world.state().hold.id], ['FAILURE', tip, false])
    has(World.error(other), "${seen} is not the hold in force: ${world.state().hold.id} is")
    has(World.error(other), 'start this job again with the same parameters')
    def again = roll(world, rollback, release + [answer: { 'bob' }])
    same([again.failure, world.state().hold], [null, null])
}

scenario('a release of several services ends each hold that was approved') { World world ->
    deploy(world)
    same(world.step("gitopsDeploy(service: 'payment', image: 'docker.io/acme/payment:2.1.0@sha256:${'5' * 64}')").failure, null)
    roll(world, rollback, [params: [SERVICE: 'cart,payment']])
    Map asked = null
    def build = roll(world, rollback, [params: [ACTION: 'release', SERVICE: 'cart,payment'], env: [GITOPS_APPROVERS: 'bob'], answer: { asked = it; 'bob' }])
    same([build.failure, world.state().hold, world.state('payment').hold], [null, null, null])
    has(asked.message, 'End the hold of payment, which runs 2.0.0?')
}

scenario('RELEASE ends no hold of a rollback that came while the image was built') { World world ->
    world.fakePodman(digest)
    deploy(world)
    Map job = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.6.0', RELEASE: 'true']]
    def build = world.jenkinsfile(job + [beforeStep: meanwhile('gitops-rollback build') {
        world.command('rollback', '--service', 'cart', '--reason', 'broken')
    }], 'Jenkinsfile')
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'nothing was held before')
    has(world.image(), ':1.4.2@')
    same(world.state().hold.reason, 'broken')
    def again = world.jenkinsfile(job + [params: job.params + [VERSION: '1.6.1']], 'Jenkinsfile')
    same([again.failure, world.state().hold], [null, null])
}

scenario('a deploy that releases is not tried again over a rollback that came meanwhile') { World world ->
    deploy(world)
    def build = world.step([beforeStep: meanwhile('gitops-rollback deploy') {
        world.command('rollback', '--service', 'cart', '--reason', 'broken')
    }], "gitopsDeploy(service: 'cart', image: '${World.NEXT}', release: true)")
    same(build.run.result, 'FAILURE')
    same(world.state().hold.reason, 'broken')
}

scenario('ACTION history tells what ran when, and changes nothing') { World world ->
    deploy(world)
    String tip = world.tip()
    def build = roll(world, rollback, [params: [ACTION: 'history', REASON: '']])
    same([build.failure, world.tip(), build.shells, World.title(build)], [null, tip, ['gitops-rollback history'], 'history: cart'])
    has(build.text, '1.5.0')
}

scenario('DRY_RUN and ACTION plan write nothing, and AS_OF goes back to a time') { World world ->
    deploy(world)
    String tip = world.tip()
    def dry = roll(world, rollback, [params: [DRY_RUN: 'true'], env: [GITOPS_APPROVERS: 'bob']])
    same([dry.failure, world.tip(), World.title(dry)], [null, tip, 'plan: cart 1.5.0 → 1.4.2'])
    sleep(1100)
    deploy(world, World.NEXT)
    has(World.title(roll(world, rollback, [params: [ACTION: 'plan', AS_OF: '1s']])), 'plan: cart 1.6.0')
}

scenario('the codes that may be accepted are the job’s to say') { World world ->
    deploy(world)
    String other = 'docker.io/acme/cart:7.7.7@sha256:' + '7' * 64
    String tip = world.tip()
    def refused = roll(world, rollback, [params: [TO: other, ACCEPT: 'never-ran']])
    same([refused.run.result, world.tip()], ['FAILURE', tip])
    has(World.error(refused), 'never-ran')
    def narrower = roll(world, rollback, [params: [ACCEPT: 'bad'], env: [GITOPS_ALLOWED_ACCEPT: 'gone']])
    same([narrower.run.result, world.tip()], ['FAILURE', tip])
    has(World.error(narrower), 'bad')
}

scenario('a Jenkinsfile of another version than the library says so before anything else') { World world ->
    def build = world.build([name: 'Jenkinsfile.test', library: false], """library('gitops-rollback')
pipeline { agent none
  options { skipDefaultCheckout() }
  stages { stage('x') { steps { gitopsJob(version: '9.9.9') } } } }""")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'this Jenkinsfile is of gitops-rollback 9.9.9, the library that Jenkins loaded of ')
}

scenario('three rollbacks at once in one build: titles, links, reports and results do not mix') { World world ->
    world.commit('A third', ['apps/stock/deployment.yaml': World.manifest('stock', 'acme/stock:3.0.0@sha256:' + '8' * 64)])
    Map images = [cart: World.NEW, payment: 'docker.io/acme/payment:2.1.0@sha256:' + '5' * 64, stock: 'docker.io/acme/stock:3.1.0@sha256:' + '9' * 64]
    images.each { service, image -> same(world.step("gitopsDeploy(service: '${service}', image: '${image}')").failure, null) }
    def build = world.build([job: 'ops/all', env: [GITOPS_REPORT: '']], '''
        def one = { String service ->
            def plan
            node { plan = gitopsFindPreviousImage(service: service) }
            node { gitopsRollback(plan: plan, reason: "${service} is broken") }
        }
        parallel(cart: { one('cart') }, payment: { one('payment') }, stock: { one('stock') })
    ''')
    same(build.failure, null)
    same(World.title(build).tokenize(';')*.trim().sort(), ['cart 1.5.0 → 1.4.2, held', 'payment 2.1.0 → 2.0.0, held', 'stock 3.1.0 → 3.0.0, held'])
    same(build.run.description.readLines().count { it.startsWith('report: ') }, 3)
    same(build.archived().findAll { it.endsWith('/report.html') }.size(), 3)
    same(build.archived().findAll { it.endsWith('record.json') }.size(), 3)
    ['cart', 'payment', 'stock'].each { service -> has(world.state(service).hold.reason, "${service} is broken") }
}

scenario('what a wait could not verify leaves the job unstable, with the reason in its title') { World world ->
    world.fakePodman(digest)
    Map job = [scm: [url: world.source().path], firstRun: false, params: [SERVICE: 'cart', IMAGE: 'docker.io/acme/cart', VERSION: '1.5.0'], env: [GITOPS_WAIT: 'True']]
    def build = world.jenkinsfile(job, 'Jenkinsfile')
    same([build.failure, build.run.result, World.title(build)], [null, 'UNSTABLE', 'cart 1.4.2 → 1.5.0, not verified'])
}

scenario('the person behind a build is found through upstream builds, replays and timers') { World world ->
    Map timer = [_class: 'hudson.triggers.TimerTrigger$TimerTriggerCause', shortDescription: 'Started by timer']
    Map upstream = [_class: 'org.jenkinsci.plugins.workflow.support.steps.build.BuildUpstreamCause', shortDescription: 'Started by upstream project "night" build number 3']
    Map replay = [_class: 'org.jenkinsci.plugins.workflow.cps.replay.ReplayCause', shortDescription: 'Replayed #4']
    Map person = [_class: 'hudson.model.Cause$UserIdCause', shortDescription: 'Started by user Mo', userId: 'mo', userName: 'Mo']
    world.step([causes: [upstream], upstreamBuilds: [new harness.RunWrapper(causes: [timer])]], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    has(world.message(), 'Gitops-By: timer')
    world.step([causes: [replay, person]], "gitopsDeploy(service: 'cart', image: '${World.NEXT}')")
    has(world.message(), 'Gitops-By: mo')
}
