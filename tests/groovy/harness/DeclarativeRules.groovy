package harness

import org.codehaus.groovy.ast.ClassCodeVisitorSupport
import org.codehaus.groovy.ast.ClassNode
import org.codehaus.groovy.ast.expr.ClosureExpression
import org.codehaus.groovy.ast.expr.MethodCallExpression
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.classgen.GeneratorContext
import org.codehaus.groovy.control.CompilePhase
import org.codehaus.groovy.control.SourceUnit
import org.codehaus.groovy.control.customizers.CompilationCustomizer

/** Jenkins refuses anything but calls directly in `steps`, `stages` and the like. */
class DeclarativeRules extends CompilationCustomizer {
    private static final List<String> CALLS_ONLY = ['pipeline', 'stages', 'stage', 'steps', 'parameters', 'options', 'post', 'always',
                                                    'success', 'failure', 'aborted', 'cleanup', 'when', 'agent']

    DeclarativeRules() { super(CompilePhase.CONVERSION) }

    @Override
    void call(SourceUnit source, GeneratorContext context, ClassNode type) {
        if (!source.name.contains('Jenkinsfile')) { return }
        type.visitContents(new Visitor(source))
    }

    private static class Visitor extends ClassCodeVisitorSupport {
        private final SourceUnit source

        Visitor(SourceUnit source) { this.source = source }

        @Override
        protected SourceUnit getSourceUnit() { source }

        @Override
        void visitMethodCallExpression(MethodCallExpression call) {
            if (call.methodAsString in CALLS_ONLY && call.implicitThis) {
                call.arguments.expressions.findAll { it instanceof ClosureExpression }.each { check(call.methodAsString, it) }
            }
            super.visitMethodCallExpression(call)
        }

        private void check(String section, ClosureExpression closure) {
            closure.code.statements.each {
                if (!(it instanceof ExpressionStatement && it.expression instanceof MethodCallExpression)) {
                    throw new HarnessError("${source.name}:${it.lineNumber}: only calls can stand directly in '${section}'")
                }
            }
        }
    }
}
