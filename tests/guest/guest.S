/*
 * guest.S - the smallest guest: a boot sector that uses its disk through the
 * firmware's virtio driver. Writes COUNT blocks of 4 KiB, each full of its own
 * number, reads all of them back, and says what happened: a dot on port 0xe9
 * for each 16 blocks written, then "ok" or "bad"; the exit device at 0xf4 ends
 * the machine with status 33 (ok) or 35 (bad).
 *
 * as --32 --defsym COUNT=N; ld -m elf_i386 -Ttext 0x7c00 --oformat binary
 */
	.code16
	.globl _start
	.equ FIRST_SECTOR, 2048
	.equ BUFFER, 0x8000

_start:
	cli
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	sti
	cld
	movb %dl, drive

	xorl %ebx, %ebx
write_next:
	movl %ebx, %eax
	movw $BUFFER, %di
	movw $1024, %cx
	rep stosl
	movb $0x43, %ah
	call transfer
	testb $15, %bl
	jnz 1f
	movb $'.', %al
	outb %al, $0xe9
1:	incl %ebx
	cmpl $COUNT, %ebx
	jb write_next

	xorl %ebx, %ebx
read_next:
	xorl %eax, %eax
	movw $BUFFER, %di
	movw $1024, %cx
	rep stosl
	movb $0x42, %ah
	call transfer
	movl %ebx, %eax
	movw $BUFFER, %di
	movw $1024, %cx
	repe scasl
	jne bad
	incl %ebx
	cmpl $COUNT, %ebx
	jb read_next

	movw $text_ok, %si
	movb $0x10, %ah
	jmp say

bad:
	movw $text_bad, %si
	movb $0x11, %ah
say:
	lodsb
	testb %al, %al
	jz end
	outb %al, $0xe9
	jmp say
end:
	movb %ah, %al
	outb %al, $0xf4
	hlt

/* Block %ebx between disk and BUFFER, by function %ah. */
transfer:
	pushl %ebx
	shll $3, %ebx
	addl $FIRST_SECTOR, %ebx
	movl %ebx, sector
	movb $0, %al
	movb drive, %dl
	movw $packet, %si
	int $0x13
	popl %ebx
	jc bad
	ret

drive:	.byte 0
packet:	.byte 16, 0
	.word 8, BUFFER, 0
sector:	.long 0, 0
text_ok:
	.asciz " ok\n"
text_bad:
	.asciz " bad\n"

	.org 510
	.byte 0x55, 0xaa
