// Steps that wait until a change really runs. The command is the real one; where a cluster has to have an opinion, `wait` alone
// says what it would have said.
import harness.World

String deploy(String more) { "gitopsDeploy(service: 'cart', image: '${World.NEW}'${more})" }

/** A gitops-rollback on the agent that is the library's own, but for `wait`, which ends as told: one answer after the other. */
Map told(World world, List<Map> answers) {
    world.step("gitopsRecordImage(service: 'cart')")
    String helper = world.sharedHelper.listFiles().findAll { it.isDirectory() }.join(':')
    answers.eachWithIndex { answer, index ->
        new File(world.folder, "wait-${index}").text = groovy.json.JsonOutput.toJson([schemaVersion: 1] + answer.result)
        new File(world.folder, "wait-${index}.code").text = answer.code
    }
    world.tool('gitops-rollback', """\
#!/bin/sh
export PYTHONPATH='${helper}'
if [ "\$1" = wait ]; then
  number=\$(ls '${world.folder}' | grep -c '^waited-')
  echo "\$GITOPS_TIMEOUT" >'${world.folder}'/timeout
  cp "\${GITOPS_CHANGE:-/dev/null}" '${world.folder}'/waited-\$number
  cp '${world.folder}'/wait-\$number "\$GITOPS_OUTPUT"
  code=\$(cat '${world.folder}'/wait-\$number.code)
  python3 -c "import os; from gitops_rollback.tell.jenkins import write_told; write_told('wait', \$code, os.environ)" || exit 3
  exit "\$code"
fi
exec python3 -m gitops_rollback "\$@"
""")
    return [env: [GITOPS_USE_INSTALLED: 'true']]
}

Map failed(boolean byImage) {
    Map failure = [code: 'pull', message: 'Deployment/shop/cart cannot pull it', hint: 'look', whose: 'ours', byImage: byImage]
    Map error = [category: 'cluster', message: 'cart: Deployment/shop/cart cannot pull it; 2 old pods still serve', hint: 'look']
    Map rollout = [service: 'cart', environment: 'default', image: World.NEW, state: 'failed', failure: failure]
    return [code: 1, result: [state: 'failed', rollouts: [rollout], seconds: [total: 3.5], error: error]]
}

Map ready() {
    return [code: 0, result: [state: 'ready', rollouts: [], warnings: [], seconds: [total: 7.6, decide: 0.3, commit: 0.6, fetched: 1.2, applied: 1.9, ready: 7.412]]]
}

scenario('without a cluster and without commit statuses a deploy says that nothing was verified') { World world ->
    def build = world.step(deploy(', wait: true'))
    same(build.failure, null)
    same(build.shells.unique(false), ['gitops-rollback record', 'gitops-rollback deploy', 'gitops-rollback wait'])
    same(World.returned(build).state, 'unverified')
    same(World.title(build), 'cart 1.4.2 → 1.5.0, not verified')
    same(build.run.result, 'UNSTABLE')
    has(build.text, 'nothing could be verified: whether the image runs is not known')
}

scenario('a cluster that was named and cannot be asked fails the deploy, and nothing is rolled back') { World world ->
    def build = world.step(deploy(", wait: true, kubeconfigCredentialsId: 'cluster', autoRollback: true"))
    has(build.failure.message, 'gitopsDeploy: not verified: ')
    same(build.shells.unique(false), ['gitops-rollback record', 'gitops-rollback deploy', 'gitops-rollback wait'])
    has(World.NEW, world.image())
}

scenario('a deploy that runs shows when it was decided, committed, fetched, applied and ready') { World world ->
    def build = world.step(told(world, [ready()]), deploy(', wait: true'))
    same(build.failure, null)
    same(World.returned(build).times.applied, 1.9)
    same(World.title(build), 'cart 1.4.2 → 1.5.0, running after 7.4 s (decide 0.3, commit 0.6, fetched 1.2, applied 1.9)')
    def change = new groovy.json.JsonSlurperClassic().parse(new File(world.folder, 'waited-0'))
    same(change.commit, world.tip())
}

scenario('a deploy that does not come through fails, and nothing is rolled back unasked') { World world ->
    def build = world.step(told(world, [failed(true)]), deploy(', wait: true'))
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'gitopsDeploy: cart: Deployment/shop/cart cannot pull it; 2 old pods still serve (look)')
    same(world.state().hold, null)
    same(World.title(build), 'cart 1.4.2 → 1.5.0, not applied: cart: Deployment/shop/cart cannot pull it; 2 old pods still serve')
}

scenario('with autoRollback a bad image is undone once, held for its failure, and the build fails') { World world ->
    def build = world.step(told(world, [failed(true), ready()]), deploy(', autoRollback: true'))
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'cannot pull it; 2 old pods still serve (rolled back to 1.4.2, and held)')
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
    same(world.state().hold.reason, 'cart: Deployment/shop/cart cannot pull it; 2 old pods still serve')
    has(World.title(build), 'cart 1.5.0 → 1.4.2, held, running after 7.4 s')
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').action, 'deploy')
    same(World.archived(build, 'auto-rollback/gitops-rollback/default/cart/record.json').action, 'rollback')
    def again = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'once more')")
    has(World.error(again), 'rolled back')
}

scenario('with autoRollback all that one commit deployed goes back in one, and what ran already stays') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String payment = 'docker.io/acme/payment:2.1.0@sha256:' + '5' * 64
    world.step("gitopsDeploy(service: 'payment', image: '${payment}')")
    Map bad = failed(true)
    bad.result.rollouts = [[service: 'cart', failure: bad.result.rollouts[0].failure + [byImage: false]]] + bad.result.rollouts
    String set = "[cart: '${World.NEXT}', payment: '${payment}']"
    def unchanged = world.step(told(world, [bad, ready()]), "gitopsDeploy(images: ${set}, autoRollback: true)")
    has(World.error(unchanged), '(rolled back to 1.5.0, and held)')
    same(world.image('payment'), 'acme/payment:2.1.0@sha256:' + '5' * 64)
    new File(world.folder, 'waited-0').delete()
    new File(world.folder, 'waited-1').delete()
    set = "[cart: '${World.NEXT}', payment: 'docker.io/acme/payment:2.2.0@sha256:${'6' * 64}']"
    def both = world.step(told(world, [bad, ready()]), "gitopsDeploy(images: ${set}, release: true, accept: 'bad', autoRollback: true)")
    has(World.error(both), '(rolled back to cart 1.5.0, payment 2.1.0, and held)')
    same([world.image(), world.image('payment')], ['acme/cart:1.5.0@sha256:' + '2' * 64, 'acme/payment:2.1.0@sha256:' + '5' * 64])
    same(world.git(world.remote, 'log', '-1', '--format=%(trailers:key=Gitops-Service,valueonly,separator=%x2C)', 'main').trim(), 'cart,payment')
}

scenario('with autoRollback a failure that no image caused is not undone') { World world ->
    def build = world.step(told(world, [failed(false)]), deploy(', autoRollback: true'))
    same(build.run.result, 'FAILURE')
    same(world.state().hold, null)
    has(world.image(), 'acme/cart:1.5.0@')
    same(build.shells.contains('gitops-rollback rollback'), false)
}

scenario('a rollback that fails too is not rolled back') { World world ->
    def build = world.step(told(world, [failed(true), failed(true)]), deploy(', autoRollback: true'))
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'rolled back to 1.4.2, and held; but cart: Deployment')
    same(build.shells.count('gitops-rollback rollback'), 1)
    same(world.state().deployed*.action, ['rollback', 'deploy'])
}

scenario('an image that was deployed already is waited for all the same, and not undone') { World world ->
    Map options = told(world, [failed(true), failed(true)])
    world.step(options, deploy(', wait: true'))
    def again = world.step(options, deploy(', autoRollback: true'))
    same(again.run.result, 'FAILURE')
    has(World.error(again), 'gitopsDeploy: cart: Deployment/shop/cart cannot pull it; 2 old pods still serve (look)')
    has(World.title(again), 'cart 1.5.0, not applied: ')
    same(again.shells, ['gitops-rollback record', 'gitops-rollback deploy', 'gitops-rollback wait'])
    same(world.state().hold, null)
}

scenario('a dry run waits for nothing') { World world ->
    def build = world.step(told(world, []), deploy(', autoRollback: true, dryRun: true'))
    same(build.failure, null)
    same(build.shells.contains('gitops-rollback wait'), false)
}

scenario('a deploy that was overtaken leaves the build unstable, not failed') { World world ->
    Map error = [category: 'moved', message: 'cart: overtaken: a newer change', hint: 'look']
    def build = world.step(told(world, [[code: 5, result: [state: 'replaced', rollouts: [], seconds: [total: 1.0], error: error]]]), deploy(', autoRollback: true'))
    same(build.run.result, 'UNSTABLE')
    same(World.title(build), 'cart 1.4.2 → 1.5.0, overtaken')
    same(world.state().hold, null)
}

scenario('a folder can have its jobs wait and undo; a rollback is never undone by itself') { World world ->
    Map options = told(world, [failed(true), failed(true)])
    options.env += [GITOPS_WAIT: 'true', GITOPS_AUTO_ROLLBACK: 'true', GITOPS_WAIT_TIMEOUT: '77']
    world.step(options, deploy(', wait: false, autoRollback: false'))
    same(new File(world.folder, 'waited-0').exists(), false)
    def back = world.step(options, "gitopsRollback(service: 'cart', reason: 'broken')")
    same(back.run.result, 'FAILURE')
    same(back.shells.count('gitops-rollback rollback'), 1)
    same(new File(world.folder, 'timeout').text.trim(), '77')
    def deployed = world.step(options, "gitopsDeploy(service: 'cart', image: '${World.NEXT}', release: true)")
    has(World.error(deployed), '(rolled back to 1.4.2, and held; but ')
}

scenario('a rollback waits too') { World world ->
    Map options = told(world, [ready()])
    world.step(options, deploy(''))
    def build = world.step(options, "gitopsRollback(service: 'cart', reason: 'broken', wait: true)")
    same(build.failure, null)
    has(World.title(build), 'cart 1.5.0 → 1.4.2, held, running after 7.4 s')
    same(World.returned(build).state, 'ready')
}
