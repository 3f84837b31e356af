// What an abort leaves: the branch is before or after, and the record of a rollback is archived.
import harness.World

scenario('a deploy aborted while it pushes leaves the branch before or after') { World world ->
    String before = world.tip()
    def build = world.step([agent: [PAUSE_GIT_AT: 'push'], abortOn: 'gitops-rollback deploy'], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'ABORTED')
    same((build.assigned.ABORT_MILLISECONDS as int) < 10_000, true)
    has(build.text, 'main is as before')
    same(world.tip(), before)
    same(build.archived().contains('gitops-rollback/default/cart/record.json'), true)
    same(build.run.keepLog, true)
    def next = world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(next.failure, null)
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
}

scenario('a deploy aborted after it pushed is done, and the next one finds nothing to do') { World world ->
    def build = world.step([agent: [PAUSE_GIT_AFTER: 'push'], abortOn: 'gitops-rollback deploy'], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'ABORTED')
    same(world.image(), 'acme/cart:1.5.0@sha256:' + '2' * 64)
    has(build.text, world.tip().substring(0, 7))
    same([build.archived().contains('gitops-rollback/default/cart/record.json'), build.run.keepLog], [true, true])
    String tip = world.tip()
    same(world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')").failure, null)
    same(world.tip(), tip)
    same(world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')").failure, null)
    same(world.image(), 'acme/cart:1.4.2@sha256:' + '1' * 64)
}

scenario('a rollback aborted while it pushes has archived its record') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    String before = world.tip()
    def build = world.step([job: 'ops/rollback', agent: [PAUSE_GIT_AT: 'push'], abortOn: 'gitops-rollback rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(build.run.result, 'ABORTED')
    same(world.tip(), before)
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').action, 'rollback')
    new File(world.home, 'paused').delete()
    same(world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')").failure, null)
}

scenario('a rollback whose push the server refuses has archived its record') { World world ->
    world.step("gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    File hook = new File(world.remote, 'hooks/pre-receive')
    hook.text = '#!/bin/sh\necho "the branch is frozen" >&2\nexit 1\n'
    hook.executable = true
    def build = world.step([job: 'ops/rollback'], "gitopsRollback(service: 'cart', reason: 'broken')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'the branch is frozen')
    same(World.archived(build, 'gitops-rollback/default/cart/record.json').action, 'rollback')
    same(World.archived(build, 'gitops-rollback/gitopsRollback-result.json').error.category, 'repository')
}

scenario('the command interrupted by others says where it stood') { World world ->
    world.tool('git', new File(world.tools, 'git').text.replace('sleep 20', 'kill -TERM $PPID; sleep 5'))
    def build = world.step([agent: [PAUSE_GIT_AT: 'push']], "gitopsDeploy(service: 'cart', image: '${World.NEW}')")
    same(build.run.result, 'FAILURE')
    has(World.error(build), 'gitopsDeploy: interrupted: ')
    same(build.run.keepLog, true)
}
